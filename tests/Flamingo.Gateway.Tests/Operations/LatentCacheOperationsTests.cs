using System.Diagnostics.Metrics;
using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Flamingo.Testing;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Operations;

/// <summary>
/// These tests do not run in parallel with others, because they observe the metrics and allocations of the whole process.
/// </summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

[Collection(nameof(Alone))]
public sealed class LatentCacheOperationsTests : IAsyncLifetime
{
    private readonly Stage _stage = new();
    private readonly RespServer _server = new();
    private readonly List<ServiceProvider> _gateways = [];
    private FaultyProxy _proxy = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        _proxy = FaultyProxy.Start(_server.Port);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var gateway in _gateways) await gateway.DisposeAsync();
        await _proxy.DisposeAsync();
        _server.Dispose();
    }

    [Fact(Timeout = 60_000)]
    public async Task Everything_is_counted_once()
    {
        var (first, second) = (Gateway(), Gateway());
        await Ask(first, 1, 2); // two misses in each tier, then encoded
        await Ask(first, 1, 1); // one lookup, because the two pictures are the same
        await WrittenAsync(first, 2);
        await Ask(second, 1, 3); // Redis holds one of the two
        await WrittenAsync(second, 1);
        var (one, two) = (await StatisticsAsync(first), await StatisticsAsync(second));
        Assert.Equal(new MemoryTierStatistics(2, 80, 256 << 20, 1, 2, 0, 0), one.Memory);
        Assert.Equal(new RedisTierStatistics(true, 0, 2, 0, 0, 0, 2 * 136), one.Redis);
        Assert.Equal((2, 0, 0), (one.Encoded, one.Waits, one.SharedWaits));
        Assert.True(one.Saved > TimeSpan.Zero);
        Assert.Equal(new MemoryTierStatistics(2, 80, 256 << 20, 0, 2, 0, 0), two.Memory);
        Assert.Equal(new RedisTierStatistics(true, 1, 1, 0, 0, 136, 136), two.Redis);
        Assert.Equal(1, two.Encoded);

        await using var connection = await _server.ConnectAsync();
        await connection.GetDatabase().HashSetAsync($"flamingo:latents:{KeyOf(1)}", "data", new byte[136]);
        var third = Gateway();
        await Ask(third, 1);
        var three = await StatisticsAsync(third);
        Assert.Equal((0, 1, 1, 0), (three.Redis!.Hits, three.Redis.Misses, three.Redis.Corrupt, three.Redis.Failures));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task Metrics_say_what_statistics_say()
    {
        var (seen, ours) = (new Dictionary<string, double>(), false);
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, listening) =>
        {
            if (ours && instrument.Meter.Name == "Flamingo.Gateway") listening.EnableMeasurementEvents(instrument);
        };
        void See<T>(Instrument instrument, T value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
            where T : struct =>
                seen[$"{instrument.Name[17..]} {string.Join(' ', tags.ToArray().Select(tag => tag.Value))}".Trim()] =
                    Convert.ToDouble(value, null);
        listener.SetMeasurementEventCallback<int>(See);
        listener.SetMeasurementEventCallback<long>(See);
        listener.SetMeasurementEventCallback<double>(See);
        listener.Start();
        ours = true;
        var gateway = Gateway();
        _ = gateway.GetRequiredService<ILatentCacheOperations>();
        await Ask(gateway, 1, 2);
        await WrittenAsync(gateway, 2);
        await Ask(gateway, 1);
        var statistics = await StatisticsAsync(gateway);
        listener.RecordObservableInstruments();
        Assert.Equal(statistics.Saved.TotalSeconds, seen["saved"]);
        seen.Remove("saved");
        Assert.Equal(
            new Dictionary<string, double>
            {
                ["hits memory"] = 1, ["hits redis"] = 0, ["misses memory"] = 2, ["misses redis"] = 2, ["evictions memory"] = 0,
                ["rejections memory"] = 0,
                ["failures redis"] = 0, ["corrupt redis"] = 0, ["transferred read"] = 0, ["transferred written"] = 272, ["encodings"] = 2,
                ["waits this"] = 0, ["waits another"] = 0, ["entries memory"] = 2, ["bytes memory"] = 80,
                ["bytes_limit memory"] = 256 << 20, ["leases taken"] = 2, ["leases lost"] = 0, ["leases_held"] = 0,
            }.OrderBy(pair => pair.Key),
            seen.OrderBy(pair => pair.Key));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task Clearing_empties_redis_and_every_gateways_memory_and_nothing_else()
    {
        _proxy.Become(ProxyFault.Killed);
        var gateways = new[] { Gateway(), Gateway() };
        // subscribes, although Redis is not reachable yet
        foreach (var gateway in gateways) _ = gateway.GetRequiredService<ILatentCacheOperations>();
        await Ask(gateways[0], 9);
        _proxy.Become(ProxyFault.None);
        await using var connection = await _server.ConnectAsync();
        await connection.GetDatabase().StringSetAsync("flamingo:sets:a", "a support set");
        foreach (var gateway in gateways)
            while (!(await StatisticsAsync(gateway)).Redis!.Reachable) Cancellation.ThrowIfCancellationRequested();
        await Ask(gateways[0], 1, 2);
        await WrittenAsync(gateways[0], 2);
        await Ask(gateways[1], 1, 2);

        Assert.Equal(new ClearedCache(2, 2), await gateways[1].GetRequiredService<ILatentCacheOperations>().ClearAsync(Cancellation));
        // The message may still be in transit.
        while ((await StatisticsAsync(gateways[0])).Memory.Entries > 0) Cancellation.ThrowIfCancellationRequested();
        Assert.Equal(0, (await StatisticsAsync(gateways[1])).Memory.Entries);
        Assert.Equal("flamingo:sets:a", Assert.Single(connection.GetServers()[0].Keys(pattern: "*")));
        Assert.Equal([PictureSource.Encoded], await gateways[0].GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task Clearing_while_redis_is_silent_says_so_and_empties_memory()
    {
        var gateway = Gateway();
        await Ask(gateway, 1);
        await WrittenAsync(gateway, 1);
        foreach (var fault in new[] { ProxyFault.Paused, ProxyFault.Killed })
        {
            await Ask(gateway, 1);
            _proxy.Become(fault);
            var operations = gateway.GetRequiredService<ILatentCacheOperations>();
            Assert.Equal(FlamingoErrorKind.Unavailable,
                (await Assert.ThrowsAsync<FlamingoException>(() => operations.ClearAsync(Cancellation))).Kind);
            var statistics = await operations.GetStatisticsAsync(Cancellation);
            Assert.Equal((0, false), (statistics.Memory.Entries, statistics.Redis!.Reachable));
        }
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_gateway_that_ends_leaves_no_connection_behind()
    {
        foreach (var fault in new[] { ProxyFault.None, ProxyFault.Paused })
        {
            var (gateway, another) = (Gateway(), Gateway());
            await Ask(gateway, 1);
            await Ask(another, 1);
            _ = gateway.GetRequiredService<ILatentCacheOperations>(); // subscribes
            while (!(await StatisticsAsync(gateway)).Redis!.Reachable) Cancellation.ThrowIfCancellationRequested();
            Assert.True(_proxy.Connections > 0);
            _proxy.Become(fault);
            await gateway.DisposeAsync();
            another.Dispose(); // disposes the gateway synchronously as well
            _proxy.Become(ProxyFault.None);
            while (_proxy.Connections > 0) TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        }
    }

    [Fact]
    public async Task Without_redis_memory_is_all_there_is()
    {
        await using var gateway = _stage.Services();
        await Ask(gateway, 1);
        var operations = gateway.GetRequiredService<ILatentCacheOperations>();
        Assert.Null((await operations.GetStatisticsAsync(Cancellation)).Redis);
        Assert.Equal(new ClearedCache(0, 1), await operations.ClearAsync(Cancellation));
        Assert.Equal(0, (await operations.GetStatisticsAsync(Cancellation)).Memory.Entries);
    }

    private ServiceProvider Gateway()
    {
        var gateway = _stage.Services(
            ("Redis:ConnectionString", $"127.0.0.1:{_proxy.Port}"),
            ("Redis:LookupBudget", "00:00:05"), ("Redis:LeaseBudget", "00:00:05"), ("Redis:WriteBudget", "00:00:05"),
            ("Redis:BreakDuration", "00:00:00.500"), ("Redis:LeaseDuration", "00:00:15"));
        _gateways.Add(gateway);
        return gateway;
    }

    private static Task Ask(ServiceProvider gateway, params byte[] pictures) =>
        gateway.GetRequiredService<IFlamingo>()
            .EncodeAsync(new FlamingoEncodeRequest([.. pictures.Select(picture => Picture(picture))]), Cancellation);

    private static Task<CacheStatistics> StatisticsAsync(ServiceProvider gateway) =>
        gateway.GetRequiredService<ILatentCacheOperations>().GetStatisticsAsync(Cancellation);

    // Writes follow answers.
    private static async Task WrittenAsync(ServiceProvider gateway, int values)
    {
        while ((await StatisticsAsync(gateway)).Redis!.BytesWritten < values * 136) Cancellation.ThrowIfCancellationRequested();
    }

    private string KeyOf(byte picture) => LatentKey.Compute(
        PictureId.Of([picture]), _stage.Vision.WeightsDigest, _stage.Resampler.WeightsDigest, _stage.Vision.PreprocessingVersion,
        _stage.Resampler.LatentDtype, "");
}
