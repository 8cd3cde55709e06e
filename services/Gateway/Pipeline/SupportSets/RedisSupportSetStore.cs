using System.Security.Cryptography;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// Keeps support sets in Redis, so that all gateways share them and they survive restarts of a gateway. Each tenant has a Redis
/// set of names. Each support set has a hash with version, revision, head and shots, and a hash with its pictures' files. While
/// Redis is unreachable, support sets that this process has read recently can still be used, and changes are refused.
/// </summary>
public sealed class RedisSupportSetStore(
    Func<Task<IDatabase>> connect, SupportSetOptions options, TimeProvider time, ILogger<RedisSupportSetStore> logger) : ISupportSetStore
{
    // Number of attempts of a replacement that collides with concurrent replacements.
    private const int Attempts = 8;

    // A gateway that stops during a write leaves files that belong to no set. They expire after this time.
    private static readonly TimeSpan Unfinished = TimeSpan.FromMinutes(10);

    private const int MostRecent = 64;

    private readonly RecentlyAdded<StoredSet> _recent = new(MostRecent); // sets that this process has read recently

    public async Task<StoredSet?> GetAsync(Tenant tenant, string name, CancellationToken cancellation)
    {
        var key = Key(tenant, name);
        try
        {
            return await RunAsync(async database =>
            {
                var revision = await database.HashGetAsync(key, "revision");
                if (_recent.Find(key) is { } known && known.Revision == revision) return known;
                var fields = await database.HashGetAsync(key, ["head", "shots"]);
                if (fields[0].IsNull) return Forget(key);
                var set = Read<StoredSet>(fields[0]) with { Shots = Read<List<StoredShot>>(fields[1]) };
                _recent.Add(key, set);
                return set;
            }, cancellation);
        }
        catch (FlamingoException) when (_recent.Find(key) is { } known && !(known.Expires <= time.GetUtcNow()))
        {
            return known;
        }
    }

    public Task<IReadOnlyDictionary<string, VisualInput>> GetPicturesAsync(
        Tenant tenant, StoredSet set, IReadOnlyCollection<string> ids, CancellationToken cancellation) =>
        RunAsync<IReadOnlyDictionary<string, VisualInput>>(async database =>
        {
            var files = await database.HashGetAsync(Pictures(tenant, set.Name, set.Revision), [.. ids.Select(id => (RedisValue)id)]);
            return ids.Zip(files).Where(item => !item.Second.IsNull)
                .ToDictionary(item => item.First, item => Read<VisualInput>(item.Second), StringComparer.Ordinal);
        }, cancellation);

    public Task<StoredSet> PutAsync(
        Tenant tenant, NewSet set, long? expectedVersion, CancellationToken cancellation) => RunAsync(async database =>
    {
        var (key, names) = (Key(tenant, set.Name), Names(tenant));
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            var current = await database.HashGetAsync(key, ["version", "revision"]);
            var version = current[0].IsNull ? 0 : (long)current[0];
            if (expectedVersion is { } expected && expected != version) throw SupportSetRefusals.Conflict(set.Name, expected, version);
            if (version == 0 && (await NamesAsync(database, tenant)).Count >= options.MaxSets)
                throw SupportSetRefusals.Full($"SupportSets:MaxSets is {options.MaxSets}");

            var stored = set.As(version + 1, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)));
            var pictures = Pictures(tenant, set.Name, stored.Revision);
            foreach (var (id, picture) in set.Pictures) await database.HashSetAsync(pictures, id, Write(picture));
            await database.KeyExpireAsync(pictures, Unfinished);

            var change = database.CreateTransaction();
            change.AddCondition(version == 0 ? Condition.KeyNotExists(key) : Condition.HashEqual(key, "revision", current[1]));
            _ = change.HashSetAsync(key,
            [
                new("version", stored.Version), new("revision", stored.Revision),
                new("head", Write(stored with { Shots = [] })), new("shots", Write(stored.Shots)),
            ]);
            _ = change.SetAddAsync(names, set.Name);
            foreach (var kept in new[] { key, pictures })
                _ = stored.Expires is { } end ? change.KeyExpireAsync(kept, end - time.GetUtcNow()) : change.KeyPersistAsync(kept);
            if (await change.ExecuteAsync())
            {
                if (version != 0) await database.KeyDeleteAsync(Pictures(tenant, set.Name, current[1]!));
                return stored;
            }

            await database.KeyDeleteAsync(pictures);
        }

        throw new FlamingoException(
            FlamingoErrorKind.Conflict, $"Other callers keep replacing support set {set.Name}. Try again.");
    }, cancellation);

    public Task<IReadOnlyList<StoredSet>> ListAsync(Tenant tenant, CancellationToken cancellation) =>
        RunAsync<IReadOnlyList<StoredSet>>(async database => await NamesAsync(database, tenant), cancellation);

    public Task<bool> DeleteAsync(Tenant tenant, string name, CancellationToken cancellation) => RunAsync(async database =>
    {
        var key = Key(tenant, name);
        var revision = await database.HashGetAsync(key, "revision");
        Forget(key);
        if (revision.IsNull) return false;
        var change = database.CreateTransaction();
        _ = change.KeyDeleteAsync([key, Pictures(tenant, name, revision!)]);
        _ = change.SetRemoveAsync(Names(tenant), name);
        return await change.ExecuteAsync();
    }, cancellation);

    // Reading the list removes the names of expired sets.
    private async Task<List<StoredSet>> NamesAsync(IDatabase database, Tenant tenant)
    {
        var sets = new List<StoredSet>();
        foreach (var name in (await database.SetMembersAsync(Names(tenant))).Select(name => name.ToString()).Order(StringComparer.Ordinal))
        {
            var head = await database.HashGetAsync(Key(tenant, name), "head");
            if (!head.IsNull) sets.Add(Read<StoredSet>(head));
            else await database.SetRemoveAsync(Names(tenant), name);
        }

        return sets;
    }

    private async Task<T> RunAsync<T>(Func<IDatabase, Task<T>> ask, CancellationToken cancellation)
    {
        try
        {
            return await RunAsync().WaitAsync(options.RedisTimeout, time, cancellation);
        }
        catch (Exception exception) when (exception is not FlamingoException && !cancellation.IsCancellationRequested)
        {
            RedisLog.SupportSetsFailed(logger, exception.Message);
            throw new FlamingoException(
                FlamingoErrorKind.Unavailable,
                "Redis, which stores the support sets, does not answer. Try again later, or send the examples in the prompt.", exception);
        }

        async Task<T> RunAsync() => await ask(await connect());
    }

    private StoredSet? Forget(string key)
    {
        _recent.Remove(key);
        return null;
    }

    // The braces put all keys of a tenant into the same slot of a cluster, as a transaction requires.
    private string Names(Tenant tenant) => $"{options.InstanceName}{{{tenant.Digest}}}";

    private string Key(Tenant tenant, string name) => $"{Names(tenant)}:{name}";

    private string Pictures(Tenant tenant, string name, string revision) => $"{Key(tenant, name)}:{revision}";

    private static byte[] Write<T>(T value) => JsonSerializer.SerializeToUtf8Bytes(value);

    private static T Read<T>(RedisValue value) =>
        JsonSerializer.Deserialize<T>((byte[])value!) ?? throw new JsonException("A support set in Redis is null.");
}
