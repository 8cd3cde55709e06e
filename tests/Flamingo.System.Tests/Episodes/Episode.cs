using Flamingo.Abstractions;
using Flamingo.Fixtures.Reference;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Episodes;

/// <summary>The episodes of tests/reference/shapes/evaluation, their pictures and the original code's answers.</summary>
internal static class Episode
{
    private static readonly ShapesEvaluation Shapes = new(RepositoryFiles.Path("tests", "reference", "shapes", "evaluation"));

    public static IReadOnlyList<EvaluationEpisode> All => Shapes.Episodes;

    public static EvaluationGolden Golden => Shapes.Golden;

    public static string Evaluation(params string[] parts) => Shapes.Path(parts);

    public static FlamingoPicture Picture(string name) => Shapes.Picture(name);

    /// <inheritdoc cref="ShapesEvaluation.Segments(EvaluationEpisode, int)"/>
    public static IReadOnlyList<FlamingoSegment> Segments(this EvaluationEpisode episode, int shots) => Shapes.Segments(episode, shots);
}
