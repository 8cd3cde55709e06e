using Flamingo.Abstractions;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Tests.Redis;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>Redis Cluster refuses a command or script whose keys belong to several slots. The gateway sends no such command.</summary>
public sealed class ClusterTests : IDisposable
{
    private readonly Stage _stage = new();
    private readonly RespServer _server = new(cluster: true);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _server.Dispose();

    [Fact(Timeout = 60_000)]
    public async Task The_server_of_these_tests_refuses_a_script_of_two_slots()
    {
        await using var connection = await _server.ConnectAsync();
        var server = connection.GetServers()[0];
        Assert.Equal("said", (string?)await server.ExecuteAsync("EVAL", "return ARGV[1]", 1, "a", "said"));
        var refusal = await Assert.ThrowsAsync<RedisServerException>(
            () => server.ExecuteAsync("EVAL", "return ARGV[1]", 2, "a", "b", "said"));
        Assert.Contains("CROSSSLOT", refusal.Message, StringComparison.Ordinal);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task Pictures_are_looked_up_leased_put_waited_for_and_cleared_in_a_cluster()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var first = Gateway();
        await using var second = Gateway();
        _stage.Gate = gate.Task;
        FlamingoSegment[] pictures = [.. Enumerable.Range(1, 12).Select(picture => Picture((byte)picture))];
        var encoding = first.GetRequiredService<IFlamingo>().SourcesAsync(pictures);
        await _stage.Encoding.Task.WaitAsync(Cancellation);
        var waiting = second.GetRequiredService<IFlamingo>().SourcesAsync(pictures);
        while (Read(second).SharedWaits < 12) await Task.Delay(1, Cancellation);
        gate.SetResult();
        Assert.All(await encoding, source => Assert.Equal(PictureSource.Encoded, source));
        Assert.All(await waiting, source => Assert.Equal(PictureSource.Encoded, source));
        Assert.Equal(12, _stage.Encodes.Sum()); // one gateway encodes for both

        await using var third = Gateway();
        Assert.All(await third.GetRequiredService<IFlamingo>().SourcesAsync(pictures), source => Assert.Equal(PictureSource.Redis, source));
        await using var connection = await _server.ConnectAsync();
        Assert.DoesNotContain(connection.GetServers()[0].Keys(), key => ((string)key!).StartsWith("lease:", StringComparison.Ordinal));
        Assert.Equal(12, (await third.GetRequiredService<ILatentCacheOperations>().ClearAsync(Cancellation)).RedisEntries);
        Assert.Empty(connection.GetServers()[0].Keys());
        // the cluster refused no command
        foreach (var gateway in new[] { first, second, third }) Assert.Equal(0, Read(gateway).Redis!.Failures);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    private static CacheStatistics Read(ServiceProvider gateway) => gateway.GetRequiredService<LatentCacheOperations>().Read();

    private ServiceProvider Gateway() => _stage.Services(
        ("Redis:ConnectionString", _server.Address),
        ("Redis:LookupBudget", "00:00:05"), ("Redis:LeaseBudget", "00:00:05"), ("Redis:WriteBudget", "00:00:05"),
        ("Redis:LeaseDuration", "00:00:15"));
}
