namespace Flamingo.Bench.Figures;

/// <summary>All figures, in the order in which a run that names none measures them.</summary>
public static class FigureCatalogue
{
    public static IReadOnlyList<Figure> All { get; } =
    [
        .. TimeToFirstTokenFigures.All,
        .. PictureFigures.All,
        .. LatentCacheFigures.All,
        .. GatewayFigures.All,
        .. TransportFigures.All,
        .. HandoverFigures.All,
        .. DecodingFigures.All,
        .. DtypeFigures.All,
        .. WeightFigures.All,
        .. MachineFigures.All,
    ];

    /// <summary>Names that no figure has.</summary>
    public static IReadOnlyList<string> Unknown(IEnumerable<string> names) => [.. names.Except(All.Select(figure => figure.Name))];

    /// <summary>The figures of these names, in the order of the catalogue; for none, all that mean something.</summary>
    /// <param name="trained">Whether the weights are a trained model's.</param>
    public static IReadOnlyList<Figure> Select(IReadOnlyCollection<string> names, bool trained = true) =>
        [.. All.Where(figure => names.Count == 0 ? trained || !figure.NeedsTrainedWeights : names.Contains(figure.Name))];
}
