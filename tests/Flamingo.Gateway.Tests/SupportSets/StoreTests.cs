using System.Text;
using Flamingo.Abstractions;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;

namespace Flamingo.Gateway.Tests.SupportSets;

/// <summary>Tests the contract of support set stores on the store in memory and on the store in Redis (Garnet in this process).</summary>
public sealed class StoreTests : IDisposable
{
    private static readonly Tenant A = Tenant.Of("a", "salt"), B = Tenant.Of("b", "salt");
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 24, 0, 0, 0, TimeSpan.Zero));
    private readonly SupportSetOptions _options = new() { MaxSets = 3, MaxMemoryBytes = 10_000 };
    private readonly RespServer _server = new();
    private ConnectionMultiplexer? _connection;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _connection?.Dispose();
        _server.Dispose();
    }

    [Theory(Timeout = 60_000), InlineData("memory"), InlineData("redis")]
    public async Task Replacing_gives_the_next_version_and_other_pictures(string kind)
    {
        var store = await StoreAsync(kind, TestContext.Current.CancellationToken);
        var first = await store.PutAsync(A, Set("s", "one", "two"), null, Cancellation);
        Assert.Equal((1L, 2), (first.Version, first.Count));
        var second = await store.PutAsync(A, Set("s", "three"), 1, Cancellation);
        Assert.Equal(2, second.Version);
        Assert.NotEqual(first.Revision, second.Revision);
        var read = (await store.GetAsync(A, "s", Cancellation))!;
        Assert.Equal(("three", 2L, second.Revision), (Assert.Single(read.Shots).Text, read.Version, read.Revision));
        Assert.Equal([1, 2, 3, 4], read.Shots[0].Embedding.ToArray());
        Assert.Equal("three", Encoding.UTF8.GetString(
            Assert.Single(await store.GetPicturesAsync(A, read, ["id of three", "id of one"], Cancellation)).Value.Files[0].Span));
        Assert.Empty(await store.GetPicturesAsync(A, first, ["id of one"], Cancellation));
    }

    [Theory(Timeout = 60_000), InlineData("memory"), InlineData("redis")]
    public async Task Another_version_than_expected_is_a_conflict_and_changes_nothing(string kind)
    {
        var store = await StoreAsync(kind, TestContext.Current.CancellationToken);
        await ConflictAsync(store, 1);
        await store.PutAsync(A, Set("s", "one"), 0, Cancellation);
        await ConflictAsync(store, 0);
        await ConflictAsync(store, 2);
        Assert.Equal("one", (await store.GetAsync(A, "s", Cancellation))!.Shots.Single().Text);

        static async Task ConflictAsync(ISupportSetStore store, long expected) =>
            Assert.Equal(FlamingoErrorKind.Conflict,
                (await Assert.ThrowsAsync<FlamingoException>(() => store.PutAsync(A, Set("s", "other"), expected, Cancellation))).Kind);
    }

    [Theory(Timeout = 60_000), InlineData("memory"), InlineData("redis")]
    public async Task Nothing_crosses_tenants(string kind)
    {
        var store = await StoreAsync(kind, TestContext.Current.CancellationToken);
        var set = await store.PutAsync(A, Set("s", "one"), null, Cancellation);
        Assert.Null(await store.GetAsync(B, "s", Cancellation));
        Assert.Empty(await store.ListAsync(B, Cancellation));
        Assert.Empty(await store.GetPicturesAsync(B, set, ["id of one"], Cancellation));
        Assert.False(await store.DeleteAsync(B, "s", Cancellation));
        Assert.Equal(1, (await store.PutAsync(B, Set("s", "two"), 0, Cancellation)).Version);
        Assert.Equal("one", (await store.GetAsync(A, "s", Cancellation))!.Shots.Single().Text);
    }

    [Theory(Timeout = 60_000), InlineData("memory"), InlineData("redis")]
    public async Task Lists_by_name_without_shots_and_deletes(string kind)
    {
        var store = await StoreAsync(kind, TestContext.Current.CancellationToken);
        foreach (var name in new[] { "c", "a", "b" }) await store.PutAsync(A, Set(name, "one", "two"), null, Cancellation);
        var list = await store.ListAsync(A, Cancellation);
        Assert.Equal(["a", "b", "c"], list.Select(set => set.Name));
        Assert.All(list, set => Assert.Equal((2, 0), (set.Count, set.Shots.Count)));
        Assert.True(await store.DeleteAsync(A, "b", Cancellation));
        Assert.False(await store.DeleteAsync(A, "b", Cancellation));
        Assert.Null(await store.GetAsync(A, "b", Cancellation));
        Assert.Equal(["a", "c"], (await store.ListAsync(A, Cancellation)).Select(set => set.Name));
    }

    [Theory(Timeout = 60_000), InlineData("memory"), InlineData("redis")]
    public async Task One_set_too_many_is_refused_and_replacing_one_is_not(string kind)
    {
        var store = await StoreAsync(kind, TestContext.Current.CancellationToken);
        foreach (var name in new[] { "a", "b", "c" }) await store.PutAsync(A, Set(name, "one"), null, Cancellation);
        Assert.Equal(FlamingoErrorKind.Overloaded,
            (await Assert.ThrowsAsync<FlamingoException>(() => store.PutAsync(A, Set("d", "one"), null, Cancellation))).Kind);
        Assert.Equal(2, (await store.PutAsync(A, Set("c", "two"), null, Cancellation)).Version);
        Assert.Equal(1, (await store.PutAsync(B, Set("d", "one"), null, Cancellation)).Version);
    }

    [Theory(Timeout = 60_000), InlineData("memory"), InlineData("redis")]
    public async Task Those_that_replace_at_once_get_a_version_each(string kind)
    {
        var store = await StoreAsync(kind, TestContext.Current.CancellationToken);
        await store.PutAsync(A, Set("s", "zero"), null, Cancellation);
        var versions = await Task.WhenAll(Enumerable.Range(0, 6).Select(async number =>
        {
            try
            {
                return (await store.PutAsync(A, Set("s", $"{number}"), null, Cancellation)).Version;
            }
            catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.Conflict)
            {
                return 0; // the caller must try again
            }
        }));
        var given = versions.Where(version => version > 0).ToList();
        Assert.Equal(given.Count, given.Distinct().Count());
        Assert.Equal(given.Max(), (await store.GetAsync(A, "s", Cancellation))!.Version);
        Assert.Equal(given.Count + 1, given.Max());
    }

    [Fact]
    public async Task In_memory_a_set_expires_and_gives_its_bytes_back()
    {
        var store = await StoreAsync("memory", TestContext.Current.CancellationToken);
        await store.PutAsync(A, Set("s", new string('x', 900)) with { Expires = _time.GetUtcNow().AddMinutes(1) }, null, Cancellation);
        Assert.Equal(FlamingoErrorKind.Overloaded,
            (await Assert.ThrowsAsync<FlamingoException>(
                () => store.PutAsync(A, Set("t", new string('x', 900)), null, Cancellation))).Kind);
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(await store.GetAsync(A, "s", Cancellation));
        Assert.Empty(await store.ListAsync(A, Cancellation));
        Assert.Equal(1, (await store.PutAsync(A, Set("t", new string('x', 900)), null, Cancellation)).Version);
    }

    [Fact(Timeout = 60_000)]
    public async Task In_Redis_a_set_and_its_pictures_expire_together_and_one_without_end_does_not()
    {
        var store = await StoreAsync("redis", TestContext.Current.CancellationToken);
        await store.PutAsync(A, Set("s", "one") with { Expires = _time.GetUtcNow().AddHours(1) }, null, Cancellation);
        await store.PutAsync(A, Set("t", "one"), null, Cancellation);
        var lives = new List<(string Key, TimeSpan? Life)>();
        await foreach (var key in _connection!.GetServers()[0].KeysAsync())
            lives.Add((key!, await _connection.GetDatabase().KeyTimeToLiveAsync(key)));
        Assert.Equal(2, lives.Count(key =>
            key.Key.Contains(":s", StringComparison.Ordinal) && key.Life is { } life && life > TimeSpan.FromMinutes(59)));
        // the set t, its pictures, the index, the bytes of all tenants, and the times of their recounts
        Assert.Equal(5, lives.Count(key => key.Life is null));

        // deletes the key as Redis does when it expires
        await _connection.GetDatabase().KeyDeleteAsync([.. lives.Where(key => key.Life is not null).Select(key => (RedisKey)key.Key)]);
        Assert.Null(await store.GetAsync(A, "s", Cancellation));
        _time.Advance(TimeSpan.FromHours(1)); // the index goes by the gateway's clock
        Assert.Equal(["t"], (await store.ListAsync(A, Cancellation)).Select(set => set.Name));
    }

    [Fact(Timeout = 60_000)]
    public async Task While_Redis_is_down_what_was_seen_can_be_asked_and_nothing_changed()
    {
        var store = await StoreAsync("redis", TestContext.Current.CancellationToken);
        await store.PutAsync(A, Set("s", "one"), null, Cancellation);
        await store.PutAsync(A, Set("unseen", "one"), null, Cancellation);
        await store.GetAsync(A, "s", Cancellation);
        _server.Dispose();
        Assert.Equal("one", (await store.GetAsync(A, "s", Cancellation))!.Shots.Single().Text);
        foreach (var change in new Func<Task>[]
        {
            () => store.GetAsync(A, "unseen", Cancellation), () => store.PutAsync(A, Set("s", "two"), null, Cancellation),
            () => store.DeleteAsync(A, "unseen", Cancellation), () => store.ListAsync(A, Cancellation),
        })
            Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(change)).Kind);
    }

    private async Task<ISupportSetStore> StoreAsync(string kind, CancellationToken cancellation)
    {
        if (kind == "memory") return new MemorySupportSetStore(_options, _time);
        _connection =
            await ConnectionMultiplexer.ConnectAsync(
                $"{_server.Address},abortConnect=false,connectTimeout=1000,syncTimeout=2000,asyncTimeout=2000").WaitAsync(cancellation);
        return new RedisSupportSetStore(() => Task.FromResult(_connection.GetDatabase()), _options, IntegritySeal.Plain, _time,
            NullLogger<RedisSupportSetStore>.Instance);
    }

    private static NewSet Set(string name, params string[] texts) => new(
        name, DateTimeOffset.UnixEpoch, null, "vision",
        [.. texts.Select(text => new StoredShot($"id of {text}", text, new byte[] { 1, 2, 3, 4 }))],
        texts.ToDictionary(text => $"id of {text}", text => VisualInput.Still(Encoding.UTF8.GetBytes(text))));
}
