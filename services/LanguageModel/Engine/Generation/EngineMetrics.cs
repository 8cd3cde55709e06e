using System.Diagnostics.Metrics;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;
using Tag = System.Collections.Generic.KeyValuePair<string, object?>;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Meter <c>Flamingo.LanguageModel</c>: what the engine holds, computes and refuses, and how long requests wait and take. Gauges and
/// counters are read when metrics are collected. The same figures under vLLM's names are in <see cref="VllmMetrics"/>.
/// </summary>
public sealed class EngineMetrics : IDisposable
{
    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    };

    private static readonly InstrumentAdvice<int> Counts = new()
    {
        HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048],
    };

    private readonly Meter _meter = new("Flamingo.LanguageModel");
    private readonly VllmMetrics _vllm;
    private readonly Histogram<int> _sequences, _tokens;
    private readonly Histogram<double> _step, _wait;
    private readonly Counter<long> _refusals;
    private readonly TimeProvider _time;
    private long _promptTokens, _generatedTokens;

    /// <param name="statistics">Returns the engine's state after its last step.</param>
    /// <param name="model">Id of the model, for the label of vLLM's metrics.</param>
    public EngineMetrics(Func<EngineStatistics> statistics, string model, ModelMemory memory, TimeProvider time)
    {
        _time = time;
        _vllm = new VllmMetrics(
            statistics, model, memory, () => Interlocked.Read(ref _promptTokens), () => Interlocked.Read(ref _generatedTokens));
        _meter.CreateObservableGauge("flamingo.engine.running", () => statistics().Running, "{request}", "Requests that are running.");
        _meter.CreateObservableGauge(
            "flamingo.engine.waiting", () => statistics().Waiting, "{request}", "Requests that wait to be admitted.");
        _meter.CreateObservableGauge(
            "flamingo.engine.blocks", () => Blocks(statistics()), "{block}",
            "Blocks of keys and values, by state: free, leased or cached.");
        _meter.CreateObservableGauge(
            "flamingo.engine.pinned_blocks", () => statistics().PinnedBlocks, "{block}",
            "Blocks that pins hold or will hold; a block of several nested prefixes counts once for each.");
        _meter.CreateObservableGauge(
            "flamingo.engine.pictures", () => Pictures(statistics()), "{picture}",
            "Pictures whose cross-attention keys and values are held, by state: leased or idle.");
        _meter.CreateObservableCounter("flamingo.engine.steps", () => statistics().Steps, "{step}", "Forward passes.");
        _meter.CreateObservableCounter(
            "flamingo.engine.prompt_tokens", () => Interlocked.Read(ref _promptTokens), "{token}",
            "Prompt tokens of the requests that were admitted.");
        _meter.CreateObservableCounter(
            "flamingo.engine.computed_tokens", () => statistics().ComputedTokens, "{token}", "Tokens that the model has computed.");
        _meter.CreateObservableCounter(
            "flamingo.engine.cached_tokens", () => statistics().CachedTokens, "{token}",
            "Prompt tokens that were taken from the prefix cache.");
        _meter.CreateObservableCounter(
            "flamingo.engine.generated_tokens", () => Interlocked.Read(ref _generatedTokens), "{token}",
            "Tokens of answers that were generated.");
        _meter.CreateObservableCounter(
            "flamingo.engine.projections", () => statistics().Projections, "{picture}",
            "Pictures whose cross-attention keys and values were computed.");
        _meter.CreateObservableCounter(
            "flamingo.engine.evictions", () => statistics().Evictions, "{block}", "Cached blocks that were evicted to make room.");
        _sequences = _meter.CreateHistogram("flamingo.engine.batch_size", "{sequence}", "Sequences of one forward pass.", advice: Counts);
        _tokens = _meter.CreateHistogram("flamingo.engine.batch_tokens", "{token}", "Tokens of one forward pass.", advice: Counts);
        _step = _meter.CreateHistogram("flamingo.engine.step_duration", "s", "Time of one step.", advice: Seconds);
        _wait = _meter.CreateHistogram(
            "flamingo.engine.queue_wait", "s", "Time from a request's arrival to its admission.", advice: Seconds);
        _refusals = _meter.CreateCounter<long>(
            "flamingo.engine.refusals", "{request}", "Requests that were refused before they began, by reason.");
    }

    public void Dispose()
    {
        _meter.Dispose();
        _vllm.Dispose();
    }

    internal void Refused(Exception refusal) => _refusals.Add(1, new Tag("reason", refusal switch
    {
        FlamingoException { Kind: FlamingoErrorKind.Overloaded } => "overloaded",
        FlamingoException { Kind: FlamingoErrorKind.InvalidArgument } => "invalid_argument",
        FlamingoException { Kind: FlamingoErrorKind.LatentsMissing } => "latents_missing",
        FlamingoException { Kind: FlamingoErrorKind.Unavailable } => "stopping",
        _ => "other",
    }));

    internal void Admitted(EngineRequest request)
    {
        var wait = _time.GetElapsedTime(request.Terms.Arrived, request.Admitted).TotalSeconds;
        Interlocked.Add(ref _promptTokens, request.Prompt.Ids.Count);
        _wait.Record(wait);
        _vllm.Admitted(request.Prompt.Ids.Count, wait);
    }

    internal void Stepped(int sequences, int tokens, TimeSpan duration)
    {
        _sequences.Record(sequences);
        _tokens.Record(tokens);
        _step.Record(duration.TotalSeconds);
        _vllm.Stepped(tokens);
    }

    /// <summary>Counts an output of a request's sequence: its first token, the next token of an answer, or scores of a candidate.</summary>
    /// <param name="now">Timestamp of the step's end.</param>
    internal void Accepted(EngineRequest request, Sequence sequence, long now)
    {
        if (sequence.Targets.Count > 0) return;
        if (request.FirstToken == 0)
        {
            request.FirstToken = now;
            _vllm.FirstToken(_time.GetElapsedTime(request.Terms.Arrived, now).TotalSeconds);
        }
        else if (request.LastToken != now) // of the samples of one request, only the first of a step counts
        {
            _vllm.NextToken(_time.GetElapsedTime(request.LastToken, now).TotalSeconds);
        }

        request.LastToken = now;
        if (request.GeneratesTokens) Interlocked.Increment(ref _generatedTokens);
    }

    /// <param name="failure">Why the request failed; null if it is finished.</param>
    internal void Ended(EngineRequest request, Exception? failure)
    {
        var now = _time.GetTimestamp();
        var first = request.FirstToken == 0 ? now : request.FirstToken;
        _vllm.Ended(
            failure is null ? request.Answers is [var answer, ..] && answer.Reason == FinishReason.Length ? "length" : "stop"
            : failure is OperationCanceledException ? "abort" : "error",
            _time.GetElapsedTime(request.Terms.Arrived, now).TotalSeconds, _time.GetElapsedTime(request.Admitted, first).TotalSeconds,
            _time.GetElapsedTime(first, now).TotalSeconds, request.Answers.Sum(sample => sample.GeneratedTokens));
    }

    private static IEnumerable<Measurement<int>> Blocks(EngineStatistics held) =>
        [State("free", held.FreeBlocks), State("leased", held.LeasedBlocks), State("cached", held.CachedBlocks)];

    private static IEnumerable<Measurement<int>> Pictures(EngineStatistics held) =>
        [State("leased", held.LeasedPictures), State("idle", held.IdlePictures)];

    private static Measurement<int> State(string state, int value) => new(value, new Tag("state", state));
}
