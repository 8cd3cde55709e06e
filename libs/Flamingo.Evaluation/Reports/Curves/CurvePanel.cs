namespace Flamingo.Evaluation.Reports.Curves;

/// <summary>What a plot shows: scores over the number of shots, a line for each way to ask.</summary>
/// <param name="Title">Above the plot.</param>
/// <param name="Scale">Name of the vertical axis.</param>
/// <param name="Top">The largest possible value; null where the scale has no end.</param>
/// <param name="Lines">At most <see cref="MostLines"/>, so that each has a marker and a colour of its own.</param>
internal sealed record CurvePanel(string Title, string Scale, double? Top, IReadOnlyList<CurveLine> Lines)
{
    public const int MostLines = 8;
}

/// <param name="Points">Ascending by shots, all with finite values.</param>
internal sealed record CurveLine(string Name, IReadOnlyList<CurvePoint> Points);

/// <param name="Low">Lower end of the interval, which is drawn as a whisker.</param>
/// <param name="About">What a browser shows over the point.</param>
internal sealed record CurvePoint(int Shots, double Mean, double Low, double High, string About);
