using Flamingo.Abstractions;
using Flamingo.Gateway.Tests.Operations;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>
/// Measures the bytes that a request allocates on all heaps. Latents take 256 KiB here, so that an additional copy of them would
/// be visible, and no other object is large enough for the large object heap.
/// </summary>
[Collection(nameof(Alone))]
public sealed class AllocationTests : IDisposable
{
    private const int Value = 64 * 1024 * 4;
    private const int Requests = 20;

    private readonly RespServer _server = new();
    private readonly Stage _stage = new();

    public AllocationTests()
    {
        _stage.Resampler = _stage.Resampler with { Latents = 64, Width = 1024 };
        _stage.Language = _stage.Language with { Latents = 64, LatentWidth = 1024 };
    }

    public void Dispose() => _server.Dispose();

    [Fact(Timeout = 60_000)]
    public async Task A_hit_in_memory_allocates_no_latents()
    {
        await using var gateway = _stage.Services();
        var bytes = await MeasureAsync(gateway, PictureSource.Memory);
        Assert.InRange(bytes, 1, 32 << 10);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_hit_in_redis_allocates_its_value_once()
    {
        await using var gateway = _stage.Services(("Redis:ConnectionString", $"127.0.0.1:{_server.Port}"),
            ("Redis:LookupBudget", "00:00:05"), ("Redis:LeaseBudget", "00:00:05"), ("Redis:WriteBudget", "00:00:05"),
            ("Gateway:MemoryCacheBytes", "0"));
        var bytes = await MeasureAsync(gateway, PictureSource.Redis);
        Assert.InRange(bytes, Value, 1.3 * Value);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    // The measurement includes the allocations of the server in this process and arrays that pools keep.
    private async Task<double> MeasureAsync(ServiceProvider gateway, PictureSource expected)
    {
        var (flamingo, request) = (gateway.GetRequiredService<IFlamingo>(), new FlamingoEncodeRequest([Picture(1)]));
        while ((await AskAsync()) != expected) TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        for (var warm = 0; warm < Requests; warm++) await AskAsync();
        var bytes = double.MaxValue; // the smallest of all rounds, because pools allocate again after a collection
        for (var round = 0; round < 5; round++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            for (var asked = 0; asked < Requests; asked++) Assert.Equal(expected, await AskAsync());
            bytes = Math.Min(bytes, (GC.GetTotalAllocatedBytes(precise: true) - before) / (double)Requests);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{expected}: {bytes:F0} bytes per request; latents are {Value}");
        return bytes;

        async Task<PictureSource> AskAsync() =>
            (await flamingo.EncodeAsync(request, TestContext.Current.CancellationToken)).Pictures[0].Source;
    }
}
