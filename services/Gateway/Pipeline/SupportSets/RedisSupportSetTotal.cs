using System.Globalization;
using Flamingo.Abstractions;
using StackExchange.Redis;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// Counts how many bytes the sets of all tenants take in Redis. Bytes are reserved before a set is written, and afterwards the tenant's
/// own sum replaces the reservation. The sums of tenants are in other slots of a cluster, so a gateway that stops in between leaves a
/// wrong count. Therefore each tenant has a time at which its sum is read again: 10 minutes after a reservation, when its next set
/// expires, and at the latest after an hour. Every change recounts some of the tenants whose time has come.
/// </summary>
internal sealed class RedisSupportSetTotal(SupportSetOptions options, TimeProvider time)
{
    /// <summary>Time after which a write that was not finished counts as abandoned.</summary>
    public static readonly TimeSpan Unfinished = TimeSpan.FromMinutes(10);

    private const int MostRounds = 8;
    private static readonly TimeSpan LongestWait = TimeSpan.FromHours(1);

    private RedisKey[] Keys => [$"{options.InstanceName}{{total}}", $"{options.InstanceName}{{total}}:recounts"];

    public static string Index(SupportSetOptions options, string tenant) => $"{options.InstanceName}{{{tenant}}}::index";

    /// <param name="tenant">Digest of the tenant.</param>
    /// <param name="bytes">Size of the set to be written.</param>
    /// <param name="replaced">Size of the set that it replaces.</param>
    /// <exception cref="FlamingoException">Overloaded: a bound is reached.</exception>
    public async Task ReserveAsync(IDatabase database, string tenant, long bytes, long replaced)
    {
        for (var round = 0; ; round++)
        {
            var answer = await SupportSetScripts.RunAsync(
                database, SupportSetScripts.Reserve, Keys,
                [tenant, bytes, replaced, options.MaxRedisBytes, 2 * (double)options.MaxTenantBytes, Now() + Milliseconds(Unfinished)]);
            if (answer[0] == "done") return;
            // The count may be too high, because sets have expired since.
            if (round < MostRounds && await RecountAsync(database, await DueAsync(database))) continue;
            throw answer[0] == "total"
                ? SupportSetRefusals.Full($"SupportSets:MaxRedisBytes is {options.MaxRedisBytes}")
                : SupportSetRefusals.OfTenant(bytes, options);
        }
    }

    /// <summary>Replaces what is counted for a tenant by its own sum, and recounts some tenants whose time has come.</summary>
    /// <param name="sum">Answer of a script: what happened, bytes, and the time at which the next set expires.</param>
    public async Task SettleAsync(IDatabase database, string tenant, string[] sum) =>
        await RecountAsync(database, [.. (await SetAsync(database, tenant, sum)).Where(due => due != tenant)]);

    /// <summary>Reads a tenant's own sum again.</summary>
    public async Task RecountAsync(IDatabase database, string tenant) => await SetAsync(
        database, tenant, await SupportSetScripts.RunAsync(database, SupportSetScripts.Count, [Index(options, tenant)], [Now()]));

    private async Task<bool> RecountAsync(IDatabase database, IReadOnlyCollection<string> tenants)
    {
        foreach (var tenant in tenants) await RecountAsync(database, tenant);
        return tenants.Count > 0;
    }

    private async Task<string[]> DueAsync(IDatabase database) =>
        [.. (await database.SortedSetRangeByScoreAsync(Keys[1], double.NegativeInfinity, Now(), take: 16)).Select(due => due.ToString())];

    private async Task<string[]> SetAsync(IDatabase database, string tenant, string[] sum)
    {
        var (expires, latest) = (long.Parse(sum[2], CultureInfo.InvariantCulture), Now() + Milliseconds(LongestWait));
        return await SupportSetScripts.RunAsync(
            database, SupportSetScripts.Settle, Keys, [tenant, sum[1], expires > 0 && expires < latest ? expires : latest, Now()]);
    }

    private long Now() => time.GetUtcNow().ToUnixTimeMilliseconds();

    private static long Milliseconds(TimeSpan duration) => (long)duration.TotalMilliseconds;
}
