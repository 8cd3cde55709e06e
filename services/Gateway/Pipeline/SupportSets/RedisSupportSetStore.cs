using System.Globalization;
using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// Keeps support sets in Redis, so that all gateways share them and they survive restarts of a gateway. Each set has a hash with version,
/// revision, summary and examples, and a hash with its pictures' files. Each tenant has an index with the summaries and sizes of its sets.
/// A set is published by one script, after its pictures were written with a time to live, so that a change is seen as a whole or not at
/// all. A damaged entry is skipped with a warning. While Redis is unreachable, sets that this process has read recently can still be
/// used, and changes are refused.
/// <para>
/// Older gateways kept names in a Redis set, and wrote JSON into the fields <c>head</c> and <c>shots</c>. Both are read. Version and
/// revision are fields that both kinds of gateways write and compare, so that neither overwrites a change of the other unseen.
/// </para>
/// </summary>
public sealed class RedisSupportSetStore(
    Func<Task<IDatabase>> connect, SupportSetOptions options, IntegritySeal seal, TimeProvider time,
    ILogger<RedisSupportSetStore> logger) : ISupportSetStore
{
    // Number of attempts of a change that collides with concurrent changes.
    private const int Attempts = 8;
    private const int MostRecent = 64;
    private const string Unreadable = "it cannot be read, or was sealed with another Redis:IntegrityKey";

    // What Redis itself needs for a set, and for each field of a hash.
    private const int SetOverhead = 1024;
    private const int FieldOverhead = 128;

    private readonly RedisSupportSetTotal _total = new(options, time);

    // sets that this process has read recently
    private readonly RecentlyAdded<StoredSet> _recent = new(MostRecent, options.MaxMemoryBytes, set => set.MemoryBytes);

    public async Task<StoredSet?> GetAsync(Tenant tenant, string name, CancellationToken cancellation)
    {
        var key = Key(tenant, name);
        try
        {
            return await RunAsync(async (database, _) =>
            {
                for (RedisSupportSetEntry? last = null; ;)
                {
                    var current = await CurrentAsync(database, tenant, name);
                    if (!current.Exists || current.Summary is null || current.State == last?.State) _recent.Remove(key);
                    if (!current.Exists) return null;
                    if (current.Summary is not { } summary) throw SupportSetRefusals.Damaged(name);
                    if (_recent.Find(key) is { } known && known.Revision == summary.Revision) return known;
                    var fields = await database.HashGetAsync(key, ["examples", "shots"]);
                    var shots = SupportSetFormat.ReadExamples(fields[0], seal, Pictures(tenant, name, summary.Revision))
                        ?? SupportSetFormat.ReadExamples(fields[1], seal, "");
                    if (shots?.Count == summary.Count)
                    {
                        var set = summary with { Shots = shots };
                        _recent.Add(key, set);
                        return set;
                    }

                    // The set may have been replaced between the two reads. If it was not, its examples are damaged.
                    if (current.State == last?.State)
                    {
                        RedisLog.SupportSetDamaged(logger, "the list of examples", name, Unreadable);
                        throw SupportSetRefusals.Damaged(name);
                    }

                    last = current;
                }
            }, cancellation);
        }
        catch (FlamingoException failure)
            when (failure.Kind == FlamingoErrorKind.Unavailable && _recent.Find(key) is { } known && !(known.Expires <= time.GetUtcNow()))
        {
            return known;
        }
    }

    public Task<IReadOnlyDictionary<string, VisualInput>> GetPicturesAsync(
        Tenant tenant, StoredSet set, IReadOnlyCollection<string> ids, CancellationToken cancellation) =>
        RunAsync<IReadOnlyDictionary<string, VisualInput>>(async (database, _) =>
        {
            var key = Pictures(tenant, set.Name, set.Revision);
            var files = await database.HashGetAsync(key, [.. ids.Select(id => (RedisValue)id)]);
            var pictures = new Dictionary<string, VisualInput>(StringComparer.Ordinal);
            foreach (var (id, file) in ids.Zip(files).Where(item => !item.Second.IsNull))
            {
                if (SupportSetFormat.ReadPicture(file, seal, $"{key} {id}") is { } picture) pictures[id] = picture;
                else RedisLog.SupportSetDamaged(logger, $"picture {id}", set.Name, Unreadable);
            }

            return pictures;
        }, cancellation);

    public Task<StoredSet> PutAsync(Tenant tenant, NewSet set, long? expectedVersion, CancellationToken cancellation)
    {
        var revision = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        var pictures = Pictures(tenant, set.Name, revision);
        var files = set.Pictures.ToDictionary(
            item => item.Key, item => SupportSetFormat.WritePicture(item.Value, seal, $"{pictures} {item.Key}"), StringComparer.Ordinal);
        var examples = SupportSetFormat.WriteExamples(set.Shots, seal, pictures);
        var bytes = SetOverhead + examples.Length + files.Sum(file => FieldOverhead + file.Key.Length + (long)file.Value.Length);
        SupportSetRefusals.CheckSize(bytes, "SupportSets:MaxRedisBytes", options.MaxRedisBytes, options);
        return RunAsync(async (database, running) =>
        {
            for (var attempt = 0; attempt < Attempts; attempt++)
            {
                var current = await CurrentAsync(database, tenant, set.Name);
                if (expectedVersion is { } expected && current.Exists && current.Version == 0)
                    throw SupportSetRefusals.DamagedVersion(set.Name, expected);
                if (expectedVersion is { } other && other != current.Version)
                    throw SupportSetRefusals.Conflict(set.Name, other, current.Version);
                if (attempt == 0)
                {
                    await _total.ReserveAsync(database, tenant.Digest, bytes, current.Bytes);
                    await WritePicturesAsync(database, pictures, files, running);
                }

                // A change that takes too long was reported as failed, and must not happen later.
                running.ThrowIfCancellationRequested();
                var stored = set.As(current.NextVersion(time.GetUtcNow()), revision);
                var answer = await PublishAsync(database, tenant, stored, current, files.Count, bytes, examples);
                switch (answer[0])
                {
                    case "done":
                        await _total.SettleAsync(database, tenant.Digest, answer);
                        return stored;
                    case "changed":
                        break;
                    case "sets" when attempt == 0 && await ListAsync(database, tenant) is { } left && left.Count < options.MaxSets:
                        break; // listing has removed the names of sets that had expired
                    default:
                        await GiveUpAsync(database, tenant, pictures);
                        throw answer[0] switch
                        {
                            "sets" => SupportSetRefusals.TooMany(options),
                            "bytes" => SupportSetRefusals.OfTenant(long.Parse(answer[1], CultureInfo.InvariantCulture), options),
                            _ => SupportSetRefusals.Full("Redis has evicted pictures of this set before it was complete"),
                        };
                }
            }

            await GiveUpAsync(database, tenant, pictures);
            throw new FlamingoException(
                FlamingoErrorKind.Conflict, $"Other callers keep replacing support set {set.Name}. Try again.");
        }, cancellation);
    }

    public Task<IReadOnlyList<StoredSet>> ListAsync(Tenant tenant, CancellationToken cancellation) =>
        RunAsync<IReadOnlyList<StoredSet>>(async (database, _) => await ListAsync(database, tenant), cancellation);

    public Task<bool> DeleteAsync(Tenant tenant, string name, CancellationToken cancellation) => RunAsync(async (database, _) =>
    {
        _recent.Remove(Key(tenant, name));
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            var current = await CurrentAsync(database, tenant, name);
            var answer = await SupportSetScripts.RunAsync(
                database, SupportSetScripts.Delete,
                [Key(tenant, name), Index(tenant), Names(tenant), Pictures(tenant, name, current.Revision)], [current.State, name, Now()]);
            if (answer[0] != "done") continue;
            await _total.SettleAsync(database, tenant.Digest, answer);
            return current.Exists;
        }

        throw new FlamingoException(
            FlamingoErrorKind.Conflict, $"Other callers keep replacing support set {name}. Try again.");
    }, cancellation);

    // Each write gives the hash its time to live again, in the same step, so that nothing is left without one.
    private static async Task WritePicturesAsync(
        IDatabase database, string key, Dictionary<string, byte[]> files, CancellationToken running)
    {
        foreach (var (id, file) in files)
        {
            running.ThrowIfCancellationRequested();
            await SupportSetScripts.RunAsync(
                database, SupportSetScripts.WritePicture, [key], [id, file, (long)RedisSupportSetTotal.Unfinished.TotalMilliseconds]);
        }
    }

    private Task<string[]> PublishAsync(
        IDatabase database, Tenant tenant, StoredSet set, RedisSupportSetEntry current, int pictures, long bytes, byte[] examples)
    {
        var key = Key(tenant, set.Name);
        return SupportSetScripts.RunAsync(
            database, SupportSetScripts.Publish,
            [
                key, Index(tenant), Names(tenant), Pictures(tenant, set.Name, set.Revision), Pictures(tenant, set.Name, current.Revision),
            ],
            [
                current.State, set.Name, Now(), pictures, options.MaxSets, options.MaxTenantBytes, bytes, current.Bytes,
                set.Expires?.ToUnixTimeMilliseconds() ?? 0, set.Expires is { } end ? LifeUntil(end) : 0, set.Version, set.Revision,
                SupportSetFormat.WriteSummary(set with { Shots = [] }, seal, key), examples,
            ]);
    }

    // Nothing was published, so nothing refers to these pictures. They would expire anyway.
    private async Task GiveUpAsync(IDatabase database, Tenant tenant, string pictures)
    {
        await database.KeyDeleteAsync(pictures);
        await _total.RecountAsync(database, tenant.Digest);
    }

    // One round trip, or two if an older gateway has put sets of this tenant.
    private async Task<List<StoredSet>> ListAsync(IDatabase database, Tenant tenant)
    {
        var batch = database.CreateBatch();
        var (indexed, older) = (batch.HashGetAllAsync(Index(tenant)), batch.SetMembersAsync(Names(tenant)));
        batch.Execute();
        var sets = new SortedDictionary<string, StoredSet>(StringComparer.Ordinal);
        foreach (var entry in await OrEmptyAsync(indexed, "the index", "(all of a tenant)"))
        {
            var name = entry.Name.ToString();
            if (RedisIndexEntry.Read(entry.Value) is not { } read
                || SupportSetFormat.ReadSummary(read.Summary, seal, Key(tenant, name)) is not { } set)
                RedisLog.SupportSetDamaged(logger, "the entry of the index", name, Unreadable);
            else if (!(set.Expires <= time.GetUtcNow())) sets[name] = set;
        }

        var names = (await OrEmptyAsync(older, "the list of names", "(all of a tenant)")).Select(name => name.ToString()).ToList();
        if (names.Count == 0) return [.. sets.Values];
        batch = database.CreateBatch();
        var reads = names.Select(name => (Name: name, Fields: batch.HashGetAsync(Key(tenant, name), RedisSupportSetEntry.Fields))).ToList();
        batch.Execute();
        foreach (var (name, fields) in reads)
        {
            var current = await ReadCurrentAsync(fields, tenant, name, RedisValue.Null);
            if (current.Summary is { } set) sets[name] = set;
            else if (!current.Exists && sets.Remove(name) | await database.SetRemoveAsync(Names(tenant), name))
                await database.HashDeleteAsync(Index(tenant), name);
        }

        return [.. sets.Values];
    }

    private async Task<T[]> OrEmptyAsync<T>(Task<T[]> read, string what, string name)
    {
        try
        {
            return await read;
        }
        catch (RedisServerException exception) when (IsOtherType(exception))
        {
            RedisLog.SupportSetDamaged(logger, what, name, "it has another type");
            return [];
        }
    }

    private async Task<RedisSupportSetEntry> CurrentAsync(IDatabase database, Tenant tenant, string name)
    {
        var batch = database.CreateBatch();
        var (fields, entry) = (batch.HashGetAsync(Key(tenant, name), RedisSupportSetEntry.Fields), batch.HashGetAsync(Index(tenant), name));
        batch.Execute();
        var indexed = RedisValue.Null;
        try
        {
            indexed = await entry;
        }
        catch (RedisServerException exception) when (IsOtherType(exception))
        {
            // The next change replaces the index.
        }

        return await ReadCurrentAsync(fields, tenant, name, indexed);
    }

    private async Task<RedisSupportSetEntry> ReadCurrentAsync(Task<RedisValue[]> read, Tenant tenant, string name, RedisValue entry)
    {
        var (key, indexed) = (Key(tenant, name), RedisIndexEntry.Read(entry));
        var revisionOfIndex = indexed is null ? null : SupportSetFormat.ReadSummary(indexed.Summary, seal, key)?.Revision;
        RedisValue[] fields;
        try
        {
            fields = await read;
        }
        catch (RedisServerException exception) when (IsOtherType(exception))
        {
            RedisLog.SupportSetDamaged(logger, "the entry", name, "it has another type");
            return new RedisSupportSetEntry("?", 0, null, revisionOfIndex ?? "", indexed?.Bytes ?? 0);
        }

        if (fields.All(field => field.IsNull)) return new RedisSupportSetEntry("", 0, null, revisionOfIndex ?? "", indexed?.Bytes ?? 0);
        var (version, revision) = (RedisSupportSetEntry.VersionOf(fields[0]), fields[1].ToString());
        RedisValue state = revision.Length == 0 ? new("?") : fields[1];
        var summary = SupportSetFormat.ReadSummary(fields[2], seal, key);
        if (summary?.Revision != revision) summary = SupportSetFormat.ReadSummary(fields[3], seal, ""); // of an older gateway
        if (summary is null || summary.Revision != revision || summary.Name != name)
        {
            RedisLog.SupportSetDamaged(logger, "the summary", name, Unreadable);
            summary = null;
        }

        return new RedisSupportSetEntry(
            state, summary?.Version ?? version, summary, revision.Length == 0 ? revisionOfIndex ?? "" : revision, indexed?.Bytes ?? 0);
    }

    private async Task<T> RunAsync<T>(Func<IDatabase, CancellationToken, Task<T>> ask, CancellationToken cancellation)
    {
        using var running = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            return await RunAsync(running.Token).WaitAsync(options.RedisTimeout, time, cancellation);
        }
        catch (RedisServerException full) when (full.Message.Contains("OOM", StringComparison.Ordinal))
        {
            RedisLog.SupportSetsFailed(logger, full.Message);
            throw SupportSetRefusals.Full("Redis has reached its own bound (maxmemory)");
        }
        catch (Exception exception) when (exception is not FlamingoException && !cancellation.IsCancellationRequested)
        {
            RedisLog.SupportSetsFailed(logger, exception.Message);
            throw new FlamingoException(
                FlamingoErrorKind.Unavailable,
                "Redis, which stores the support sets, does not answer. Try again later, or send the examples in the prompt.", exception);
        }
        finally
        {
            await running.CancelAsync();
        }

        async Task<T> RunAsync(CancellationToken token) => await ask(await connect(), token);
    }

    private static bool IsOtherType(RedisServerException exception) => exception.Message.StartsWith("WRONGTYPE", StringComparison.Ordinal);

    // The braces put all keys of a tenant into the same slot of a cluster, as a script requires.
    private string Names(Tenant tenant) => $"{options.InstanceName}{{{tenant.Digest}}}";

    private string Index(Tenant tenant) => RedisSupportSetTotal.Index(options, tenant.Digest);

    private string Key(Tenant tenant, string name) => $"{Names(tenant)}:{name}";

    private string Pictures(Tenant tenant, string name, string revision) => $"{Key(tenant, name)}:{revision}";

    private long LifeUntil(DateTimeOffset end) => Math.Max(1, (long)(end - time.GetUtcNow()).TotalMilliseconds);

    private long Now() => time.GetUtcNow().ToUnixTimeMilliseconds();
}
