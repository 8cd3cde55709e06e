using Flamingo.Abstractions;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.Tests.Redis;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis.Profiling;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>Tests how often a request waits for Redis and which commands it sends, as recorded by the client library's profiler.</summary>
public sealed class RedisWaitsTests : IDisposable
{
    private readonly Stage _stage = new();
    private readonly RespServer _server = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _server.Dispose();

    [Theory(Timeout = 60_000)]
    // the stages accept four pictures per call
    [InlineData(1, false), InlineData(1, true), InlineData(8, false), InlineData(8, true), InlineData(40, true)]
    public async Task A_cold_request_waits_three_times_and_a_warm_one_once_whatever_its_number_of_pictures(int pictures, bool pooled)
    {
        var values = pooled ? 2 * pictures : pictures;
        await using (var cold = await GatewayAsync())
        {
            var waits = await WaitsAsync(cold, pictures, pooled, written: true);
            Assert.Equal(
            [
                [.. Times("EXPIRE", values), .. Times("HGET", values)], // look up
                [.. Times("EXPIRE", values), .. Times("HGET", values), .. Times("SET", pictures)], // lease and second lookup
                [.. Times("EVAL", pictures)], // renewal of the leases, which is part of the write
                [.. Times("EVAL", pictures), .. Times("EXPIRE", values), .. Times("HMSET", values)], // write and release
            ],
            waits);
        }

        await using var warm = await GatewayAsync();
        Assert.Equal([[.. Times("EXPIRE", values), .. Times("HGET", values)]], await WaitsAsync(warm, pictures, pooled, written: false));
        Assert.Empty(await WaitsAsync(warm, pictures, pooled, written: false)); // memory holds all values
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task Where_latents_are_held_only_the_missing_extra_is_looked_up_leased_and_put()
    {
        await using var gateway = await GatewayAsync();
        await WaitsAsync(gateway, 1, pooled: false, written: true);
        var waits = await WaitsAsync(gateway, 1, pooled: true, written: true);
        Assert.Equal(["EXPIRE", "HGET"], waits[0]);
        Assert.Equal(["EXPIRE", "HGET", "SET"], waits[1]);
        Assert.Equal(["EVAL", "EXPIRE", "HMSET"], waits[3]);
        Assert.Equal(4, waits.Count);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    private static IEnumerable<string> Times(string command, int times) => Enumerable.Repeat(command, times);

    private async Task<ServiceProvider> GatewayAsync()
    {
        var gateway = _stage.Services(
            ("Redis:ConnectionString", _server.Address),
            ("Redis:LookupBudget", "00:00:05"), ("Redis:LeaseBudget", "00:00:05"), ("Redis:WriteBudget", "00:00:05"),
            ("Redis:LeaseDuration", "00:01:00"));
        while (!(await gateway.GetRequiredService<ILatentCacheOperations>().GetStatisticsAsync(Cancellation)).Redis!.Reachable)
            Cancellation.ThrowIfCancellationRequested();
        return gateway;
    }

    // Returns the sorted commands of each wait. Commands whose times overlap were sent together and form one wait.
    private static async Task<List<List<string>>> WaitsAsync(ServiceProvider gateway, int pictures, bool pooled, bool written)
    {
        var connection = await gateway.GetRequiredService<RedisConnection>().ConnectAsync();
        var operations = gateway.GetRequiredService<LatentCacheOperations>();
        var before = operations.Read().Redis!.BytesWritten;
        var session = new ProfilingSession();
        connection.RegisterProfiler(() => session);
        await gateway.GetRequiredService<IFlamingo>().EncodeAsync(
            new FlamingoEncodeRequest([.. Enumerable.Range(1, pictures).Select(picture => Picture((byte)picture))], pooled), Cancellation);
        // The write follows the answer.
        while (written && operations.Read().Redis!.BytesWritten == before) await Task.Delay(1, Cancellation);
        connection.RegisterProfiler(() => null!);

        var waits = new List<List<string>>();
        var end = DateTime.MinValue;
        foreach (var command in session.FinishProfiling().OrderBy(command => command.CommandCreated))
        {
            if (command.CommandCreated > end) waits.Add([]);
            waits[^1].Add(command.Command);
            var answered = command.CommandCreated + command.ElapsedTime;
            if (answered > end) end = answered;
        }

        foreach (var wait in waits) wait.Sort(StringComparer.Ordinal);
        return waits;
    }
}
