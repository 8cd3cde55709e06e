using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using Flamingo.Abstractions;
using Flamingo.Gateway.Operations;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Operations;

/// <summary>The metrics of requests by OpenTelemetry's conventions. A picture of the scripted model has two latents.</summary>
[Collection(nameof(Alone))]
public sealed class RequestTelemetryTests : IDisposable
{
    private const string Generate = "generate_content flamingo l l";

    private readonly Stage _stage = new();
    private readonly MeterListener _listener = new();
    private readonly ConcurrentDictionary<string, double> _sums = new(), _counts = new();

    public RequestTelemetryTests()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "Flamingo.Gateway.Requests") listener.EnableMeasurementEvents(instrument);
        };
        void See<T>(Instrument instrument, T value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
            where T : struct
        {
            var name = $"{instrument.Name} {string.Join(' ', tags.ToArray().Select(tag => tag.Value))}".Trim();
            var number = Convert.ToDouble(value, CultureInfo.InvariantCulture);
            _sums.AddOrUpdate(name, number, (_, sum) => instrument.IsObservable ? number : sum + number);
            _counts.AddOrUpdate(name, 1, (_, count) => count + 1);
        }

        _listener.SetMeasurementEventCallback<int>(See);
        _listener.SetMeasurementEventCallback<long>(See);
        _listener.SetMeasurementEventCallback<double>(See);
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    [Fact]
    public async Task Tokens_of_pictures_and_of_text_are_counted_by_modality_and_cached_ones_apart()
    {
        await using var services = _stage.Services();
        var flamingo = services.GetRequiredService<IFlamingo>();
        await flamingo.AskAsync(Picture(1), new FlamingoText("This is"), Picture(2));
        // The stage reports 7 prompt tokens, 5 of them cached, and 3 generated ones. Two of the 7 stand for pictures.
        AssertUsage("input_tokens text", 5);
        AssertUsage("input_tokens image", 4);
        AssertUsage("cache_read.input_tokens text", 5);
        AssertUsage("cache_read.input_tokens image", null);
        AssertUsage("cache_write.input_tokens image", 4);
        AssertUsage("output_tokens text", 3);

        await flamingo.AskAsync(Picture(1), Picture(1), Picture(3));
        AssertUsage("input_tokens text", 9);
        AssertUsage("input_tokens image", 10);
        AssertUsage("cache_read.input_tokens image", 4);
        AssertUsage("cache_write.input_tokens image", 6);
        Assert.Equal((19, 2),
            (_sums[$"gen_ai.client.token.usage {Generate} input"], _counts[$"gen_ai.client.token.usage {Generate} input"]));
        Assert.Equal(6, _sums[$"gen_ai.client.token.usage {Generate} output"]);
    }

    [Fact]
    public async Task Every_operation_has_a_duration_and_generation_has_token_times()
    {
        await using var services = _stage.Services();
        var flamingo = services.GetRequiredService<IFlamingo>();
        await flamingo.AskAsync(Picture(1));
        await flamingo.RankAsync(new FlamingoRankRequest([Picture(1)], ["a", "b"]), TestContext.Current.CancellationToken);
        await flamingo.EncodeAsync(new FlamingoEncodeRequest([Picture(2)]), TestContext.Current.CancellationToken);
        foreach (var operation in new[] { "generate_content", "rank", "embeddings" })
            Assert.Equal(1, _counts[$"gen_ai.server.request.duration {operation} flamingo l l"]);
        foreach (var name in new[] { "time_to_first_token", "time_per_output_token" })
        {
            Assert.Equal(1, _counts[$"gen_ai.server.{name} {Generate}"]);
            Assert.Single(_counts.Keys, key => key.StartsWith($"gen_ai.server.{name}", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task A_failed_request_says_of_which_kind_and_one_that_never_began_names_no_model()
    {
        await using var services = _stage.Services();
        var flamingo = services.GetRequiredService<IFlamingo>();
        _stage.DescribeFails = new FlamingoException(FlamingoErrorKind.Unavailable, "The vision encoder is away.");
        await Assert.ThrowsAsync<FlamingoException>(() => flamingo.AskAsync(Picture(1)));
        _stage.DescribeFails = null;
        await Assert.ThrowsAsync<FlamingoException>(() => flamingo.AskAsync(Picture(Stage.Broken)));
        _stage.PromptFails = new FlamingoException(FlamingoErrorKind.DeadlineExceeded, "Too slow.");
        await Assert.ThrowsAsync<FlamingoException>(() => flamingo.AskAsync(Picture(1)));
        Assert.Equal(1, _counts["gen_ai.server.request.duration generate_content flamingo unavailable"]);
        Assert.Equal(1, _counts[$"gen_ai.server.request.duration {Generate} invalid_argument"]);
        Assert.Equal(1, _counts[$"gen_ai.server.request.duration {Generate} deadline_exceeded"]);
    }

    [Fact]
    public async Task Tenants_are_named_only_by_option()
    {
        foreach (var named in new[] { false, true })
        {
            await using var services = _stage.Services(("Telemetry:Tenants", $"{named}"));
            await services.GetRequiredService<IFlamingo>().GenerateAsync(
                new FlamingoRequest([new FlamingoText("a")], new SamplingParameters { MaxTokens = 4 }) { Tenant = "acme" },
                TestContext.Current.CancellationToken).ToListAsync(TestContext.Current.CancellationToken);
            Assert.Equal(named, _counts.Keys.Any(key => key.Contains("acme", StringComparison.Ordinal)));
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task Running_waiting_and_refused_requests_are_told()
    {
        var gate = new TaskCompletionSource();
        _stage.Gate = gate.Task;
        await using var services = _stage.Services(("Gateway:MaxConcurrentRequests", "1"), ("Gateway:MaxQueuedRequests", "1"));
        var flamingo = services.GetRequiredService<IFlamingo>();
        var running = flamingo.AskAsync(Picture(1));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var waiting = flamingo.AskAsync(Picture(1));
        await Assert.ThrowsAsync<FlamingoException>(() => flamingo.AskAsync(Picture(1)));
        _listener.RecordObservableInstruments();
        Assert.Equal((1, 1), (_sums["flamingo.gateway.requests running"], _sums["flamingo.gateway.requests waiting"]));
        Assert.Equal(1, _sums["flamingo.gateway.refusals queue_full"]);
        Assert.Equal(1, _sums["flamingo.gateway.tenants"]);
        gate.SetResult();
        await Task.WhenAll(running, waiting);
        Assert.Equal(1, _counts["gen_ai.server.request.duration generate_content flamingo overloaded"]);
    }

    private void AssertUsage(string nameAndModality, double? tokens)
    {
        var (name, modality) = (nameAndModality.Split(' ')[0], nameAndModality.Split(' ')[1]);
        Assert.Equal(tokens, _sums.TryGetValue($"gen_ai.client.inference.usage.{name} {Generate} {modality}", out var sum) ? sum : null);
    }
}
