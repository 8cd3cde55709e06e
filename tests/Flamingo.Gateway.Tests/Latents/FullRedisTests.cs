using System.Globalization;
using Flamingo.Abstractions;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Gateway.Tests.SupportSets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>Tests a real Redis that is full and refuses writes (maxmemory, noeviction).</summary>
public sealed class FullRedisTests(RedisContainerFixture redis) : IClassFixture<RedisContainerFixture>
{
    private readonly Stage _stage = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 120_000)]
    public async Task Writes_and_leases_that_fail_stop_no_lookups()
    {
        await using var connection = await ConnectAsync();
        await LimitAsync(connection, 0);
        await using (var before = Gateway())
        {
            await before.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1));
            while (Statistics(before).BytesWritten == 0) await Task.Delay(1, Cancellation);
        }

        await LimitAsync(connection, 1);
        try
        {
            await using var gateway = Gateway(("Gateway:MemoryCacheBytes", "0"), ("Redis:BreakDuration", "00:10:00"));
            var flamingo = gateway.GetRequiredService<IFlamingo>();
            string[] skipped = ["The Redis lease failed repeatedly and is skipped", "The Redis write failed repeatedly and is skipped"];
            for (var number = 0; !skipped.All(Said); number++)
            {
                Cancellation.ThrowIfCancellationRequested();
                Assert.Equal([PictureSource.Encoded], await flamingo.SourcesAsync(Picture(2, (byte)(number >> 8), (byte)number)));
                Assert.Equal([PictureSource.Redis], await flamingo.SourcesAsync(Picture(1)));
            }

            for (var number = 0; number < 10; number++) Assert.Equal([PictureSource.Redis], await flamingo.SourcesAsync(Picture(1)));
            Assert.False(Said("The Redis lookup failed"));
        }
        finally
        {
            await LimitAsync(connection, 0);
        }

        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 120_000)]
    public async Task A_put_that_fails_half_way_leaves_nothing_that_does_not_expire()
    {
        await using var connection = await ConnectAsync();
        var (database, tenant) = (connection.GetDatabase(), Tenant.Of("full", "salt"));
        var store = new RedisSupportSetStore(
            () => Task.FromResult(database), new SupportSetOptions(), IntegritySeal.Plain, TimeProvider.System,
            NullLogger<RedisSupportSetStore>.Instance);
        var first = await store.PutAsync(tenant, NewSets.Of("s", "one"), null, Cancellation);
        var texts = Enumerable.Range(0, 200).Select(number => $"{number}".PadRight(20_000, 'x')).ToArray();
        await LimitAsync(connection, await UsedAsync(connection) + (1 << 20)); // room for a quarter of the pictures
        try
        {
            var refusal = await Assert.ThrowsAsync<FlamingoException>(
                () => store.PutAsync(tenant, NewSets.Of("s", texts), null, Cancellation));
            Assert.Equal(FlamingoErrorKind.Overloaded, refusal.Kind);
            Assert.Contains("maxmemory", refusal.Message, StringComparison.Ordinal);
            var pictures = connection.GetServers()[0].Keys(pattern: "*:s:*")
                .Where(key => !key.ToString().EndsWith(first.Revision, StringComparison.Ordinal)).ToList();
            var half = Assert.Single(pictures); // some were written
            Assert.InRange((await database.KeyTimeToLiveAsync(half))!.Value, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10));
            Assert.Equal("one", Assert.Single((await store.GetAsync(tenant, "s", Cancellation))!.Shots).Text);
            Assert.Single(await store.ListAsync(tenant, Cancellation));
        }
        finally
        {
            await LimitAsync(connection, 0);
        }

        Assert.Equal(2, (await store.PutAsync(tenant, NewSets.Of("s", texts), 1, Cancellation)).Version);
        Assert.True(await store.DeleteAsync(tenant, "s", Cancellation));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    private static RedisTierStatistics Statistics(ServiceProvider gateway) =>
        gateway.GetRequiredService<LatentCacheOperations>().Read().Redis!;

    private static async Task LimitAsync(ConnectionMultiplexer connection, long bytes)
    {
        var server = connection.GetServers()[0];
        await server.ConfigSetAsync("maxmemory-policy", "noeviction");
        await server.ConfigSetAsync("maxmemory", bytes);
    }

    private static async Task<long> UsedAsync(ConnectionMultiplexer connection) =>
        long.Parse(
            (await connection.GetServers()[0].InfoAsync("memory")).Single().Single(line => line.Key == "used_memory").Value,
            CultureInfo.InvariantCulture);

    private async Task<ConnectionMultiplexer> ConnectAsync() =>
        await ConnectionMultiplexer.ConnectAsync($"{redis.Container.GetConnectionString()},allowAdmin=true");

    private bool Said(string text) => _stage.Logged.Any(entry => entry.Text.Contains(text, StringComparison.Ordinal));

    private ServiceProvider Gateway(params (string, string)[] settings) => _stage.Services(
    [
        ("Redis:ConnectionString", redis.Container.GetConnectionString()), ("Redis:LookupBudget", "00:00:10"),
        ("Redis:LeaseBudget", "00:00:10"), ("Redis:WriteBudget", "00:00:10"), .. settings,
    ]);
}
