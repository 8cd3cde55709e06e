namespace Flamingo.Bench.Figures;

/// <summary>All figures, in the order in which a run that names none measures them.</summary>
public static class FigureCatalogue
{
    public static IReadOnlyList<Figure> All { get; } =
    [
        .. TimeToFirstTokenFigures.All,
        .. PictureFigures.All,
        .. GatewayFigures.All,
        .. TransportFigures.All,
        .. DecodingFigures.All,
        .. MachineFigures.All,
    ];

    /// <summary>Names that no figure has.</summary>
    public static IReadOnlyList<string> Unknown(IEnumerable<string> names) => [.. names.Except(All.Select(figure => figure.Name))];

    /// <summary>The figures of these names, in the order of the catalogue; all for none.</summary>
    public static IReadOnlyList<Figure> Select(IReadOnlyCollection<string> names) => names.Count == 0 ? All : [.. All.Where(figure => names.Contains(figure.Name))];
}
