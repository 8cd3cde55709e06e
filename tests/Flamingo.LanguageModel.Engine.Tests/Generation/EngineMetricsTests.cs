using System.Diagnostics.Metrics;
using System.Globalization;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Tests.Scripted;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

/// <summary>These tests do not run in parallel with others, because they listen to the meters of the whole process.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>What the engine reports to its operators. Each step of the scripted model takes one tenth of a second.</summary>
[Collection(nameof(Alone))]
public sealed class EngineMetricsTests : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly Dictionary<string, List<double>> _seen = [];
    private readonly SteppedEngine _engine;

    public EngineMetricsTests()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name is "Flamingo.LanguageModel" or "Vllm") listener.EnableMeasurementEvents(instrument);
        };
        void See<T>(Instrument instrument, T value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
            where T : struct
        {
            var labels = string.Join(' ', tags.ToArray().Select(tag => tag.Value));
            var name = $"{instrument.Name} {labels}".Trim();
            if (!_seen.TryGetValue(name, out var values)) _seen[name] = values = [];
            if (instrument.IsObservable) values.Clear();
            values.Add(Math.Round(Convert.ToDouble(value, CultureInfo.InvariantCulture), 3));
        }

        _listener.SetMeasurementEventCallback<int>(See);
        _listener.SetMeasurementEventCallback<long>(See);
        _listener.SetMeasurementEventCallback<double>(See);
        _listener.Start();
        _engine = new SteppedEngine(limits: new EngineLimits(MaxQueued: 2, 16, 64, 64, 4), model: "tiny");
        var remember = _engine.Runner.BeforeStep!;
        _engine.Runner.BeforeStep = (batch, cancellation) =>
        {
            _engine.Time.Advance(TimeSpan.FromSeconds(0.1));
            return remember(batch, cancellation);
        };
    }

    public void Dispose()
    {
        _listener.Dispose();
        _engine.Metrics!.Dispose();
    }

    [Fact]
    public async Task A_request_is_measured_from_its_arrival_to_its_end_under_both_names()
    {
        var request = _engine.Ask("abcaabca1", answer: 4);
        _engine.Time.Advance(TimeSpan.FromSeconds(2));
        await _engine.RunAsync();
        Assert.True(request.HasEnded);
        Assert.Equal([2], Seen("flamingo.engine.queue_wait"));
        Assert.Equal([2], Seen("vllm.request_queue_time tiny"));
        Assert.Equal([2.1], Seen("vllm.time_to_first_token tiny"));
        Assert.Equal([0.1, 0.1, 0.1], Seen("vllm.inter_token_latency tiny"));
        Assert.Equal([0.1], Seen("vllm.request_prefill_time tiny"));
        Assert.Equal([0.3], Seen("vllm.request_decode_time tiny"));
        Assert.Equal([2.4], Seen("vllm.e2e_request_latency tiny"));
        Assert.Equal([9], Seen("vllm.request_prompt_tokens tiny"));
        Assert.Equal([4], Seen("vllm.request_generation_tokens tiny"));
        Assert.Equal([1], Seen("vllm.request_success tiny length"));
        Assert.Equal([9, 1, 1, 1], Seen("flamingo.engine.batch_tokens"));
        Assert.Equal([1, 1, 1, 1], Seen("flamingo.engine.batch_size"));
        Assert.Equal([0.1, 0.1, 0.1, 0.1], Seen("flamingo.engine.step_duration"));
        Assert.Equal([9], Seen("flamingo.engine.prompt_tokens"));
        Assert.Equal([4], Seen("flamingo.engine.generated_tokens"));
        Assert.Equal([4], Seen("vllm.generation_tokens tiny"));
    }

    [Fact]
    public async Task Gauges_say_what_the_statistics_say()
    {
        _engine.Ask("abcdabcd1", pin: TimeSpan.FromHours(1));
        await _engine.RunAsync();
        _engine.Ask("abcdabcd1a");
        await _engine.StepAsync();
        _engine.Ask("abca");
        var now = _engine.Now;
        Assert.True(now.PinnedBlocks > 0 && now.LeasedBlocks > 0 && now.LeasedPictures > 0);
        Assert.Equal(
            [now.FreeBlocks, now.LeasedBlocks, now.CachedBlocks],
            new[] { "free", "leased", "cached" }.SelectMany(state => Seen($"flamingo.engine.blocks {state}")));
        Assert.Equal([now.PinnedBlocks], Seen("flamingo.engine.pinned_blocks"));
        Assert.Equal([now.LeasedPictures], Seen("flamingo.engine.pictures leased"));
        Assert.Equal([1], Seen("vllm.num_requests_running tiny"));
        Assert.Equal([1], Seen("vllm.num_requests_waiting tiny"));
        Assert.Equal([Math.Round(now.LeasedBlocks / 64.0, 3)], Seen("vllm.kv_cache_usage_perc tiny"));
        Assert.Equal([1], Seen("vllm.cache_config_info tiny 4 64"));
        await _engine.RunAsync();
        Assert.Equal([8], Seen("flamingo.engine.cached_tokens"));
        Assert.Equal([8], Seen("vllm.prefix_cache_hits tiny"));
    }

    [Fact]
    public async Task Refusals_and_ends_are_counted_by_reason()
    {
        _engine.Ask("abc");
        _engine.Ask("abd");
        Assert.Throws<FlamingoException>(() => _engine.Ask("abe"));
        Assert.Throws<FlamingoException>(() => _engine.Ask("abc1", latents: false));
        Assert.Throws<FlamingoException>(() => _engine.Ask("abc", answer: 4000));
        await _engine.StepAsync();
        _engine.Engine.Running[0].Cancel();
        await _engine.RunAsync();
        foreach (var reason in new[] { "overloaded", "latents_missing", "invalid_argument" })
            Assert.Equal([1], Seen($"flamingo.engine.refusals {reason}"));
        Assert.Equal([1], Seen("vllm.request_success tiny abort"));
        Assert.Equal([1], Seen("vllm.request_success tiny length"));
    }

    private List<double> Seen(string name)
    {
        _listener.RecordObservableInstruments();
        return _seen.GetValueOrDefault(name, []);
    }
}
