using System.Diagnostics.Metrics;
using Flamingo.Stages;
using Tag = System.Collections.Generic.KeyValuePair<string, object?>;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Meter <c>Vllm</c>: the engine's figures under the names, labels and buckets of vLLM's Prometheus metrics, which dashboards, autoscalers
/// and benchmarks read. An instrument <c>vllm.name</c> is <c>vllm:name</c> on the Prometheus page. The process exports the meter only with
/// the option Telemetry:VllmNames.
/// </summary>
internal sealed class VllmMetrics : IDisposable
{
    private static readonly InstrumentAdvice<double> FirstTokenSeconds = Buckets(
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560);

    private static readonly InstrumentAdvice<double> NextTokenSeconds = Buckets(
        0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80);

    private static readonly InstrumentAdvice<double> RequestSeconds = Buckets(
        0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680);

    private static readonly InstrumentAdvice<int> Tokens = new()
    {
        HistogramBucketBoundaries = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000],
    };

    private readonly Meter _meter = new("Vllm");
    private readonly Tag _model;
    private readonly Histogram<double> _firstToken, _nextToken, _endToEnd, _queue, _prefill, _decode;
    private readonly Histogram<int> _promptTokens, _generatedTokens, _stepTokens;
    private readonly Counter<long> _ended;

    public VllmMetrics(
        Func<EngineStatistics> statistics, string model, ModelMemory memory, Func<long> promptTokens, Func<long> generatedTokens)
    {
        _model = new Tag("model_name", model);
        Gauge("num_requests_running", () => statistics().Running, "Requests in the model's batches.");
        Gauge("num_requests_waiting", () => statistics().Waiting, "Requests that wait to be admitted.");
        _meter.CreateObservableGauge(
            "vllm.kv_cache_usage_perc", () => new Measurement<double>(statistics().LeasedBlocks / (double)memory.Blocks, _model), null,
            "Part of the blocks that requests or pins use; 1 is all.");
        _meter.CreateObservableGauge(
            "vllm.cache_config_info",
            () => new Measurement<int>(1, _model, new Tag("block_size", memory.BlockTokens), new Tag("num_gpu_blocks", memory.Blocks)),
                null,
            "Size and number of blocks, as labels.");
        Counter("prompt_tokens", promptTokens, "Prompt tokens of the requests that were admitted.");
        Counter("generation_tokens", generatedTokens, "Tokens of answers that were generated.");
        Counter("prefix_cache_queries", promptTokens, "Prompt tokens that were looked up in the prefix cache.");
        Counter("prefix_cache_hits", () => statistics().CachedTokens, "Prompt tokens that were taken from the prefix cache.");
        _ended = _meter.CreateCounter<long>("vllm.request_success", null, "Requests that have ended, by the reason.");
        _firstToken = Histogram("time_to_first_token", FirstTokenSeconds, "Time from arrival to the first token.");
        _nextToken = Histogram("inter_token_latency", NextTokenSeconds, "Time from one token to the next.");
        _endToEnd = Histogram("e2e_request_latency", RequestSeconds, "Time from arrival to the end.");
        _queue = Histogram("request_queue_time", RequestSeconds, "Time from arrival to admission.");
        _prefill = Histogram("request_prefill_time", RequestSeconds, "Time from admission to the first token.");
        _decode = Histogram("request_decode_time", RequestSeconds, "Time from the first token to the end.");
        _promptTokens = _meter.CreateHistogram("vllm.request_prompt_tokens", null, "Prompt tokens of one request.", advice: Tokens);
        _generatedTokens = _meter.CreateHistogram(
            "vllm.request_generation_tokens", null, "Tokens that were generated for one request.", advice: Tokens);
        _stepTokens = _meter.CreateHistogram("vllm.iteration_tokens_total", null, "Tokens of one forward pass.", advice: Tokens);
    }

    public void Dispose() => _meter.Dispose();

    public void Admitted(int promptTokens, double wait)
    {
        _promptTokens.Record(promptTokens, _model);
        _queue.Record(wait, _model);
    }

    public void Stepped(int tokens) => _stepTokens.Record(tokens, _model);

    public void FirstToken(double sinceArrival) => _firstToken.Record(sinceArrival, _model);

    public void NextToken(double sinceLast) => _nextToken.Record(sinceLast, _model);

    /// <param name="reason">stop, length, abort or error.</param>
    public void Ended(string reason, double endToEnd, double prefill, double decode, int generatedTokens)
    {
        _ended.Add(1, _model, new Tag("finished_reason", reason));
        if (reason is not ("stop" or "length")) return;
        _endToEnd.Record(endToEnd, _model);
        _prefill.Record(prefill, _model);
        _decode.Record(decode, _model);
        _generatedTokens.Record(generatedTokens, _model);
    }

    private static InstrumentAdvice<double> Buckets(params double[] bounds) => new() { HistogramBucketBoundaries = bounds };

    private void Gauge(string name, Func<int> read, string description) =>
        _meter.CreateObservableGauge($"vllm.{name}", () => new Measurement<int>(read(), _model), null, description);

    private void Counter(string name, Func<long> read, string description) =>
        _meter.CreateObservableCounter($"vllm.{name}", () => new Measurement<long>(read(), _model), null, description);

    private Histogram<double> Histogram(string name, InstrumentAdvice<double> buckets, string description) =>
        _meter.CreateHistogram($"vllm.{name}", "s", description, advice: buckets);
}
