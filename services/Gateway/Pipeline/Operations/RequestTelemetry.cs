using System.Diagnostics;
using System.Diagnostics.Metrics;
using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Gateway.Admission;
using Microsoft.Extensions.Options;
using Tag = System.Collections.Generic.KeyValuePair<string, object?>;

namespace Flamingo.Gateway.Operations;

/// <summary>
/// The meter <c>Flamingo.Gateway.Requests</c> and the span of each request, by OpenTelemetry's conventions for generative AI, whichever
/// door a request came through. A picture counts as as many input tokens of the modality image as it has latents, and one whose latents
/// were cached as that many tokens read from a cache.
/// </summary>
public sealed class RequestTelemetry : IDisposable
{
    /// <summary>Source of the spans of the gateway's steps.</summary>
    public static readonly ActivitySource Steps = new("Flamingo.Gateway");

    internal const string Provider = "flamingo";

    private static readonly InstrumentAdvice<double> Durations = Buckets(
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92);

    private static readonly InstrumentAdvice<double> FirstTokens = Buckets(
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10);

    private static readonly InstrumentAdvice<double> TokenTimes = Buckets(
        0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5);

    private static readonly InstrumentAdvice<long> Tokens = new()
    {
        HistogramBucketBoundaries = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576],
    };

    private readonly Meter _meter = new("Flamingo.Gateway.Requests");
    private readonly Histogram<double> _duration, _firstToken, _tokenTime;
    private readonly Histogram<long> _tokens;
    private readonly Counter<long> _input, _output, _cacheRead, _cacheWrite;
    private readonly TelemetryOptions _options;
    private readonly TimeProvider _time;

    public RequestTelemetry(RequestPermits permits, IOptions<TelemetryOptions> options, TimeProvider time)
    {
        (_options, _time) = (options.Value, time);
        _meter.CreateObservableGauge(
            "flamingo.gateway.requests", () => new Measurement<int>[]
            {
                new(permits.State.Running, new Tag("state", "running")), new(permits.State.Waiting, new Tag("state", "waiting")),
            }, "{request}", "Requests that hold a permit (running) or wait for one (waiting).");
        _meter.CreateObservableGauge(
            "flamingo.gateway.tenants", () => permits.State.Tenants, "{tenant}", "Tenants that have a turn of their own.");
        _meter.CreateObservableCounter(
            "flamingo.gateway.refusals", () => new Measurement<long>(permits.Refused, new Tag("reason", "queue_full")), "{request}",
            "Requests that were refused because too many waited (Gateway:MaxQueuedRequests).");
        _duration = _meter.CreateHistogram(
            "gen_ai.server.request.duration", "s", "Time from a request's arrival to its end.", advice: Durations);
        _firstToken = _meter.CreateHistogram(
            "gen_ai.server.time_to_first_token", "s", "Time from a request's arrival to its first token.", advice: FirstTokens);
        _tokenTime = _meter.CreateHistogram(
            "gen_ai.server.time_per_output_token", "s", "Time for each token after the first.", advice: TokenTimes);
        _tokens = _meter.CreateHistogram(
            "gen_ai.client.token.usage", "{token}", "Input and output tokens of one request.", advice: Tokens);
        _input = Counter("input_tokens", "Input tokens by modality, cached ones included.");
        _output = Counter("output_tokens", "Tokens that were generated.");
        _cacheRead = Counter(
            "cache_read.input_tokens", "Input tokens that were cached: text in the prefix cache, and the latents of pictures.");
        _cacheWrite = Counter("cache_write.input_tokens", "Latents that were encoded and put into the cache.");
    }

    public void Dispose() => _meter.Dispose();

    /// <summary>Begins the span and the measurement of a request. Dispose the result when the request has ended.</summary>
    /// <param name="operation">One of <see cref="RequestOperation"/>.</param>
    internal RequestMeasurement Begin(string operation, string tenant)
    {
        var span = Steps.StartActivity(operation);
        if (span is { IsAllDataRequested: true })
        {
            span.SetTag("gen_ai.operation.name", operation).SetTag("gen_ai.provider.name", Provider);
            if (_options.Tenants) span.SetTag("flamingo.tenant", tenant);
        }

        return new RequestMeasurement(this, operation, tenant, span, _options.Prompts, _time);
    }

    /// <summary>Measures a request that has one answer.</summary>
    internal async Task<T> MeasureAsync<T>(string operation, string tenant, Func<RequestMeasurement, Task<T>> request)
    {
        using var measurement = Begin(operation, tenant);
        try
        {
            return await request(measurement);
        }
        catch (Exception exception)
        {
            measurement.Fail(exception);
            throw;
        }
    }

    internal void Record(RequestMeasurement request)
    {
        var tags = new TagList
        {
            { "gen_ai.operation.name", request.Operation }, { "gen_ai.provider.name", Provider },
        };
        if (request.Model is { } model)
        {
            tags.Add("gen_ai.request.model", model.Language.ModelId);
            tags.Add("gen_ai.response.model", model.Language.ModelId);
        }

        if (_options.Tenants) tags.Add("flamingo.tenant", request.Tenant);
        if (request.FirstToken is { } firstToken) _firstToken.Record(firstToken.TotalSeconds, tags);
        if (request.TokenTime is { } tokenTime) _tokenTime.Record(tokenTime.TotalSeconds, tags);
        if (request.TextTokens + request.ImageTokens > 0)
        {
            Count(_input, tags, (request.TextTokens, "text"), (request.ImageTokens, "image"));
            Count(_cacheRead, tags, (request.CachedTextTokens, "text"), (request.CachedImageTokens, "image"));
            Count(_cacheWrite, tags, (request.ImageTokens - request.CachedImageTokens, "image"));
            _tokens.Record(request.TextTokens + request.ImageTokens, [.. tags, new("gen_ai.token.type", "input")]);
        }

        if (request.GeneratedTokens > 0)
        {
            Count(_output, tags, (request.GeneratedTokens, "text"));
            _tokens.Record(request.GeneratedTokens, [.. tags, new("gen_ai.token.type", "output")]);
        }

        if (request.Error is { } error) tags.Add("error.type", error);
        _duration.Record(request.Elapsed.TotalSeconds, tags);
    }

    private static InstrumentAdvice<double> Buckets(params double[] bounds) => new() { HistogramBucketBoundaries = bounds };

    private static void Count(Counter<long> counter, TagList tags, params ReadOnlySpan<(long Tokens, string Modality)> counts)
    {
        foreach (var (tokens, modality) in counts)
            if (tokens > 0) counter.Add(tokens, [.. tags, new("gen_ai.token.modality", modality)]);
    }

    private Counter<long> Counter(string name, string description) =>
        _meter.CreateCounter<long>($"gen_ai.client.inference.usage.{name}", "{token}", description);
}
