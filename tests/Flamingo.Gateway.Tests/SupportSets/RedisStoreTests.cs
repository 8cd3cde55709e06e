using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Gateway.Tests.Redis;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;
using StackExchange.Redis.Profiling;

namespace Flamingo.Gateway.Tests.SupportSets;

/// <summary>Tests the store in Redis where entries are damaged, written by older gateways, too large, or changed by others.</summary>
public sealed class RedisStoreTests : IAsyncLifetime
{
    private const string Prefix = "flamingo:sets:";
    private static readonly Tenant A = Tenant.Of("a", "salt"), B = Tenant.Of("b", "salt");

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 24, 0, 0, 0, TimeSpan.Zero));
    private readonly SupportSetOptions _options = new() { MaxSets = 20, MaxTenantBytes = 100_000, MaxRedisBytes = 150_000 };
    private readonly ConcurrentQueue<LoggedEvent> _logged = new();
    private readonly RespServer _server = new();
    private ConnectionMultiplexer _connection = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private IDatabase Database => _connection.GetDatabase();

    public async ValueTask InitializeAsync() => _connection = await _server.ConnectAsync();

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        _server.Dispose();
    }

    [Theory(Timeout = 60_000)]
    [InlineData("summary"), InlineData("all fields"), InlineData("type"), InlineData("revision"), InlineData("index")]
    [InlineData("index type"), InlineData("names type"), InlineData("version")]
    public async Task A_damaged_entry_is_skipped_and_can_be_overwritten_and_deleted(string damage)
    {
        var store = Store();
        foreach (var name in new[] { "good", "bad" }) await store.PutAsync(A, NewSets.Of(name, "one"), null, Cancellation);
        await DamageAsync(damage);
        var listed = (await store.ListAsync(A, Cancellation)).Select(set => set.Name).ToList();
        Assert.Equal(damage switch { "index" => ["good"], "index type" => [], _ => ["bad", "good"] }, listed.Where(name => name != ""));
        if (damage is "summary" or "all fields" or "type" or "revision")
        {
            var refusal = await Assert.ThrowsAsync<FlamingoException>(() => Store().GetAsync(A, "bad", Cancellation));
            Assert.Equal((FlamingoErrorKind.NotFound, FlamingoException.SupportSet), (refusal.Kind, refusal.MissingResource));
            Assert.Contains("is damaged", refusal.Message, StringComparison.Ordinal);
            Assert.Contains(_logged, entry => entry.Level == LogLevel.Warning
                && entry.Text.Contains("of support set bad is damaged", StringComparison.Ordinal));
        }

        await store.PutAsync(A, NewSets.Of("another", "one"), null, Cancellation); // the tenant's other sets are not affected
        var replaced = await store.PutAsync(A, NewSets.Of("bad", "two"), null, Cancellation);
        Assert.InRange(replaced.Version, 2, long.MaxValue);
        Assert.Equal("two", Assert.Single((await store.GetAsync(A, "bad", Cancellation))!.Shots).Text);
        Assert.Equal(replaced.Version + 1, (await store.PutAsync(A, NewSets.Of("bad", "two"), replaced.Version, Cancellation)).Version);
        Assert.Contains("bad", (await store.ListAsync(A, Cancellation)).Select(set => set.Name));

        await DamageAsync(damage);
        Assert.True(await store.DeleteAsync(A, "bad", Cancellation));
        Assert.Null(await store.GetAsync(A, "bad", Cancellation));
        Assert.DoesNotContain(Keys(), key => key.Contains(":bad", StringComparison.Ordinal)); // no pictures are left behind
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Theory(Timeout = 60_000)]
    [InlineData("9223372036854775807"), InlineData("4611686018427387904"), InlineData("-5"), InlineData("many"), InlineData("0")]
    public async Task A_stored_version_out_of_range_never_makes_the_next_one_wrap(string version)
    {
        var store = Store();
        await store.PutAsync(A, NewSets.Of("s", "one"), null, Cancellation);
        await Database.HashSetAsync(Key("s"), [new("version", version), new("summary", "garbage")]);
        Assert.Equal(FlamingoErrorKind.Conflict, (await Assert.ThrowsAsync<FlamingoException>(
            () => store.PutAsync(A, NewSets.Of("s", "two"), 0, Cancellation))).Kind); // a set that exists, whatever its version
        var next = await store.PutAsync(A, NewSets.Of("s", "two"), null, Cancellation);
        Assert.Equal(_time.GetUtcNow().ToUnixTimeMilliseconds(), next.Version);
        Assert.Equal(next.Version + 1, (await store.PutAsync(A, NewSets.Of("s", "three"), null, Cancellation)).Version);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task What_older_gateways_wrote_is_listed_read_replaced_and_deleted()
    {
        var store = Store();
        foreach (var name in new[] { "old", "older" }) await PutAsOlderGatewayAsync(name, 3, "one");
        await store.PutAsync(A, NewSets.Of("new", "one"), null, Cancellation);
        Assert.Equal(["new", "old", "older"], (await store.ListAsync(A, Cancellation)).Select(set => set.Name));
        var read = (await store.GetAsync(A, "old", Cancellation))!;
        Assert.Equal((3L, "one"), (read.Version, Assert.Single(read.Shots).Text));
        Assert.Equal("one", Encoding.UTF8.GetString(
            Assert.Single(await store.GetPicturesAsync(A, read, [NewSets.IdOf("one")], Cancellation)).Value.Files[0].Span));
        Assert.Equal(4, (await store.PutAsync(A, NewSets.Of("old", "two"), 3, Cancellation)).Version);
        Assert.DoesNotContain(await Database.HashGetAllAsync(Key("old")), field => field.Name == "head" || field.Name == "shots");
        Assert.DoesNotContain($"{Key("old")}:revision 3", Keys()); // the old pictures
        Assert.True(await store.DeleteAsync(A, "older", Cancellation));
        Assert.Equal(["new", "old"], (await store.ListAsync(A, Cancellation)).Select(set => set.Name));

        await PutAsOlderGatewayAsync("new", 2, "by the older one"); // leaves the fields of the newer gateway
        Assert.Equal("by the older one", Assert.Single((await store.GetAsync(A, "new", Cancellation))!.Shots).Text);
        Assert.Equal(2, (await store.ListAsync(A, Cancellation))[0].Version);
        Assert.Equal(3, (await store.PutAsync(A, NewSets.Of("new", "three"), null, Cancellation)).Version);
        Assert.Equal("three", Assert.Single((await Store().GetAsync(A, "new", Cancellation))!.Shots).Text);
        Assert.DoesNotContain(_logged, entry => entry.Text.Contains("is damaged", StringComparison.Ordinal));

        await PutAsOlderGatewayAsync("unsealed", 1, "one"); // with a key, nothing without its seal counts
        Assert.Equal(FlamingoErrorKind.NotFound, (await Assert.ThrowsAsync<FlamingoException>(
            () => Store("a key of this test").GetAsync(A, "unsealed", Cancellation))).Kind);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_list_is_one_round_trip_whatever_the_number_of_sets()
    {
        var store = Store();
        for (var set = 0; set < 10; set++) await store.PutAsync(A, NewSets.Of($"s{set}", "one"), null, Cancellation);
        var session = new ProfilingSession();
        _connection.RegisterProfiler(() => session);
        Assert.Equal(10, (await store.ListAsync(A, Cancellation)).Count);
        _connection.RegisterProfiler(() => null!);
        Assert.Equal(["HGETALL", "SMEMBERS"], session.FinishProfiling().Select(command => command.Command).Order(StringComparer.Ordinal));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_tenant_and_all_tenants_have_quotas_that_deleting_and_expiry_give_back()
    {
        var store = Store();
        await store.PutAsync(A, NewSets.Sized("a", 80_000), null, Cancellation);
        var share = await RefusedAsync(() => store.PutAsync(A, NewSets.Sized("b", 40_000), null, Cancellation));
        Assert.Contains("SupportSets:MaxTenantBytes is 100000", share.Message, StringComparison.Ordinal);
        await store.PutAsync(A, NewSets.Sized("a", 90_000), null, Cancellation); // counts instead of the old set
        await store.PutAsync(
            B, NewSets.Sized("a", 40_000) with { Expires = _time.GetUtcNow().AddMinutes(20) }, null, Cancellation);
        var third = Tenant.Of("c", "salt");
        var full = await RefusedAsync(() => store.PutAsync(third, NewSets.Sized("a", 40_000), null, Cancellation));
        Assert.Contains("SupportSets:MaxRedisBytes is 150000", full.Message, StringComparison.Ordinal);
        Assert.NotNull(full.RetryAfter);
        Assert.Null((await RefusedAsync(() => store.PutAsync(third, NewSets.Sized("a", 120_000), null, Cancellation))).RetryAfter);

        _time.Advance(TimeSpan.FromMinutes(20)); // the other set has expired, and is counted again when the bytes are needed
        await store.PutAsync(third, NewSets.Sized("a", 40_000), null, Cancellation);
        await store.DeleteAsync(A, "a", Cancellation);
        await store.PutAsync(B, NewSets.Sized("a", 90_000), null, Cancellation);
        foreach (var (tenant, name) in new[] { (third, "a"), (B, "a") }) await store.DeleteAsync(tenant, name, Cancellation);
        Assert.Empty(Keys()); // nothing is left of any tenant
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_reservation_that_was_never_settled_is_counted_again_after_ten_minutes()
    {
        var store = Store();
        await Database.HashSetAsync($"{Prefix}{{total}}", [new("total", 140_000), new(B.Digest, 140_000)]);
        await Database.SortedSetAddAsync(
            $"{Prefix}{{total}}:recounts", B.Digest, _time.GetUtcNow().AddMinutes(10).ToUnixTimeMilliseconds());
        await RefusedAsync(() => store.PutAsync(A, NewSets.Sized("a", 40_000), null, Cancellation));
        _time.Advance(TimeSpan.FromMinutes(10));
        await store.PutAsync(A, NewSets.Sized("a", 40_000), null, Cancellation);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task Puts_and_deletes_at_once_leave_no_pictures_of_another_revision()
    {
        var store = Store();
        await Task.WhenAll(Enumerable.Range(0, 24).Select(async number =>
        {
            try
            {
                if (number % 3 == 0) await store.DeleteAsync(A, "s", Cancellation);
                else await store.PutAsync(A, NewSets.Of("s", $"{number}"), null, Cancellation);
            }
            catch (FlamingoException exception) when (exception.Kind is FlamingoErrorKind.Conflict)
            {
                // Others were faster.
            }
        }));
        var last = await store.PutAsync(A, NewSets.Of("s", "last"), null, Cancellation);
        Assert.Equal($"{Key("s")}:{last.Revision}", Assert.Single(Keys(), key => key.StartsWith($"{Key("s")}:", StringComparison.Ordinal)));
        Assert.True(await store.DeleteAsync(A, "s", Cancellation));
        Assert.Empty(Keys());
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task With_a_key_nothing_that_others_wrote_or_moved_is_used()
    {
        var (store, other) = (Store("a key of this test"), Store("another key of this test"));
        var set = await store.PutAsync(A, NewSets.Of("s", "one", "two"), null, Cancellation);
        Assert.Equal(FlamingoErrorKind.NotFound,
            (await Assert.ThrowsAsync<FlamingoException>(() => other.GetAsync(A, "s", Cancellation))).Kind);
        Assert.Empty(await other.ListAsync(A, Cancellation));
        Assert.Empty(await other.GetPicturesAsync(A, set, [NewSets.IdOf("one")], Cancellation));

        var pictures = $"{Key("s")}:{set.Revision}";
        await Database.HashSetAsync(pictures, NewSets.IdOf("one"), await Database.HashGetAsync(pictures, NewSets.IdOf("two")));
        Assert.Equal([NewSets.IdOf("two")],
            (await store.GetPicturesAsync(A, set, [NewSets.IdOf("one"), NewSets.IdOf("two")], Cancellation)).Keys);
        await other.PutAsync(A, NewSets.Of("t", "forged"), null, Cancellation);
        await Database.HashSetAsync(Key("s"), "examples", await Database.HashGetAsync(Key("t"), "examples"));
        Assert.Contains("is damaged", (await Assert.ThrowsAsync<FlamingoException>(
            () => Store("a key of this test").GetAsync(A, "s", Cancellation))).Message, StringComparison.Ordinal);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task In_a_cluster_all_keys_of_a_script_are_in_one_slot()
    {
        using var server = new RespServer(cluster: true);
        await using var cluster = await server.ConnectAsync();
        var store = new RedisSupportSetStore(() => Task.FromResult(cluster.GetDatabase()), _options, IntegritySeal.Plain, _time, Logger());
        await store.PutAsync(A, NewSets.Of("s", "one"), 0, Cancellation);
        await store.PutAsync(A, NewSets.Of("s", "two"), 1, Cancellation);
        Assert.Equal(2, Assert.Single(await store.ListAsync(A, Cancellation)).Version);
        Assert.Equal("two", Assert.Single((await store.GetAsync(A, "s", Cancellation))!.Shots).Text);
        Assert.True(await store.DeleteAsync(A, "s", Cancellation));
        Assert.Empty(cluster.GetServers()[0].Keys());
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    private static Task<FlamingoException> RefusedAsync(Func<Task> put) => Assert.ThrowsAsync<FlamingoException>(put);

    private static string Key(string name) => $"{Prefix}{{{A.Digest}}}:{name}";

    private List<string> Keys() => [.. _connection.GetServers()[0].Keys().Select(key => key.ToString())];

    private RedisSupportSetStore Store(string key = "") =>
        new(() => Task.FromResult(Database), _options, new IntegritySeal(key), _time, Logger());

    private ILogger<RedisSupportSetStore> Logger() =>
        LoggerFactory.Create(logging => logging.AddProvider(new CollectedLogs(_logged))).CreateLogger<RedisSupportSetStore>();

    private Task DamageAsync(string damage)
    {
        var (bad, index) = (Key("bad"), $"{Prefix}{{{A.Digest}}}::index");
        return damage switch
        {
            "summary" => Database.HashSetAsync(bad, "summary", new byte[] { 0xff, 0xfe }),
            "all fields" => Database.HashSetAsync(bad, [new("summary", "x"), new("examples", "x"), new("head", "{\"Name\":null}")]),
            "revision" => Database.HashDeleteAsync(bad, "revision"),
            "version" => Database.HashSetAsync(bad, "version", long.MaxValue),
            "index" => Database.HashSetAsync(index, "bad", "x"),
            "type" => ReplaceAsync(bad),
            "index type" => ReplaceAsync(index),
            _ => ReplaceAsync($"{Prefix}{{{A.Digest}}}"),
        };

        async Task ReplaceAsync(string key)
        {
            await Database.KeyDeleteAsync(key);
            await Database.StringSetAsync(key, "another type");
        }
    }

    // The form in which gateways stored sets before summaries and seals.
    private async Task PutAsOlderGatewayAsync(string name, long version, string text)
    {
        var put = NewSets.Of(name, text);
        var set = put.As(version, $"revision {version}");
        await Database.HashSetAsync(Key(name),
        [
            new("version", version), new("revision", set.Revision),
            new("head", JsonSerializer.SerializeToUtf8Bytes(set with { Shots = [] })),
            new("shots", JsonSerializer.SerializeToUtf8Bytes(set.Shots)),
        ]);
        await Database.SetAddAsync($"{Prefix}{{{A.Digest}}}", name);
        foreach (var (id, picture) in put.Pictures)
            await Database.HashSetAsync($"{Key(name)}:{set.Revision}", id, JsonSerializer.SerializeToUtf8Bytes(picture));
    }
}
