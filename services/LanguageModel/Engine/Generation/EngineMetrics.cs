using System.Diagnostics.Metrics;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Meter <c>Flamingo.LanguageModel</c>: what the engine holds and has computed. The values are read when metrics are collected.
/// </summary>
internal sealed class EngineMetrics : IDisposable
{
    private readonly Meter _meter = new("Flamingo.LanguageModel");

    public EngineMetrics(Func<EngineStatistics> statistics)
    {
        _meter.CreateObservableGauge("flamingo.engine.running", () => statistics().Running, "{request}", "Requests that are running.");
        _meter.CreateObservableGauge(
            "flamingo.engine.waiting", () => statistics().Waiting, "{request}", "Requests that wait to be admitted.");
        _meter.CreateObservableGauge(
            "flamingo.engine.blocks", () => Blocks(statistics()), "{block}",
            "Blocks of keys and values, by state: free, leased or cached.");
        _meter.CreateObservableGauge(
            "flamingo.engine.pictures", () => statistics().LeasedPictures + statistics().IdlePictures, "{picture}",
            "Pictures whose cross-attention keys and values are held.");
        _meter.CreateObservableCounter("flamingo.engine.steps", () => statistics().Steps, "{step}", "Forward passes.");
        _meter.CreateObservableCounter(
            "flamingo.engine.computed_tokens", () => statistics().ComputedTokens, "{token}", "Tokens that the model has computed.");
        _meter.CreateObservableCounter(
            "flamingo.engine.cached_tokens", () => statistics().CachedTokens, "{token}",
            "Prompt tokens that were taken from the prefix cache.");
        _meter.CreateObservableCounter(
            "flamingo.engine.evictions", () => statistics().Evictions, "{block}", "Cached blocks that were evicted to make room.");
    }

    public void Dispose() => _meter.Dispose();

    private static IEnumerable<Measurement<int>> Blocks(EngineStatistics held) =>
    [
        new(held.FreeBlocks, new KeyValuePair<string, object?>("state", "free")),
        new(held.LeasedBlocks, new KeyValuePair<string, object?>("state", "leased")),
        new(held.CachedBlocks, new KeyValuePair<string, object?>("state", "cached")),
    ];
}
