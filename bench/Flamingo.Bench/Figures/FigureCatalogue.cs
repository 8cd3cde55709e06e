namespace Flamingo.Bench.Figures;

/// <summary>All figures, in the order in which a run measures them by default.</summary>
public static class FigureCatalogue
{
    public static IReadOnlyList<Figure> All { get; } =
    [
        .. TimeToFirstTokenFigures.All,
        .. PictureFigures.All,
        .. LatentCacheFigures.All,
        .. GatewayFigures.All,
        .. TransportFigures.All,
        .. HttpFigures.All,
        .. HandoverFigures.All,
        .. DecodingFigures.All,
        .. DtypeFigures.All,
        .. WeightFigures.All,
        .. BulkFigures.All,
        .. TrainingFigures.All,
        .. MachineFigures.All,
    ];

    /// <summary>Returns the names that do not belong to a figure.</summary>
    public static IReadOnlyList<string> Unknown(IEnumerable<string> names) => [.. names.Except(All.Select(figure => figure.Name))];

    /// <summary>
    /// Returns the figures with these names in the order of the catalogue; without names, all figures that the weights allow.
    /// </summary>
    /// <param name="trained">Whether the weights are trained; false leaves out figures that need trained weights.</param>
    public static IReadOnlyList<Figure> Select(IReadOnlyCollection<string> names, bool trained = true) =>
        [.. All.Where(figure => names.Count == 0 ? trained || !figure.NeedsTrainedWeights : names.Contains(figure.Name))];
}
