using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Security.Tests;

/// <summary>These tests do not run in parallel with others, because they listen to the meters of the whole process.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>Refused calls are counted by reason, through every door, and nothing says whose they were.</summary>
[Collection(nameof(Alone))]
public sealed class SecurityMetricsTests : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly ConcurrentDictionary<string, long> _refusals = new();

    public SecurityMetricsTests()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Name == "flamingo.security.refusals") listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((_, value, tags, _) => _refusals.AddOrUpdate(
            string.Join(' ', tags.ToArray().Select(tag => $"{tag.Key}={tag.Value}")), value, (_, sum) => sum + value));
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    [Fact(Timeout = 60_000)]
    public async Task Refusals_are_counted_by_reason()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await SecuredServer.StartAsync(
            options: [("Limits:RequestsPerMinute", "3"), ("Limits:PicturesPerMinute", "1")]);
        (await server.GetAsync("/v1/models", null)).Dispose();
        (await server.GetAsync("/v1/models", "flm_0123456789_wrong")).Dispose();
        var key = server.NewKey("berlin");
        (await server.GetAsync("/v1/models", key, ("flamingo-tenant", "paris"))).Dispose();
        var encode = new FlamingoEncodeRequest([new FlamingoPictureId(new string('0', 64))]);
        await server.Client(key).EncodeAsync(encode, cancellation);
        await Assert.ThrowsAsync<FlamingoException>(() => server.Client(key).EncodeAsync(encode, cancellation));
        for (var call = 0; call < 3; call++) (await server.GetAsync("/v1/models", key)).Dispose();
        Assert.Equal(
            new Dictionary<string, long>
            {
                ["reason=unauthenticated"] = 2, ["reason=tenant_header"] = 1, ["reason=pictures_per_minute"] = 1,
                ["reason=requests_per_minute"] = 2,
            }.OrderBy(reason => reason.Key),
            _refusals.OrderBy(reason => reason.Key));
    }
}
