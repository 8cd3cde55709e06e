using System.Globalization;
using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Caching;

/// <summary>Cache statistics as a JSON object or as a table. The object's members are a contract with callers' scripts.</summary>
internal static class StatisticsReport
{
    private const string NotApplicable = "–";

    public static object Object(CacheStatistics statistics) => new
    {
        statistics.Memory, statistics.Redis, statistics.Encoded, statistics.Waits, statistics.SharedWaits,
        SavedMs = Math.Round(statistics.Saved.TotalMilliseconds, 3),
    };

    public static void Write(CacheStatistics statistics, TextWriter output)
    {
        var (memory, redis) = (statistics.Memory, statistics.Redis);
        var table = Page.Table("", "memory", "redis");
        void Row(string name, string inMemory, string? inRedis) => Page.AddRow(table, name, inMemory, inRedis ?? NotApplicable);
        Row("state", "here", redis is null ? "off" : redis.Reachable ? "reachable" : "gone");
        Row("entries", Page.Count(memory.Entries), null);
        Row("held", $"{Page.Size(memory.Bytes)} of {Page.Size(memory.MaxBytes)}", null);
        Row("hits", Page.Count(memory.Hits), redis is null ? null : Page.Count(redis.Hits));
        Row("misses", Page.Count(memory.Misses), redis is null ? null : Page.Count(redis.Misses));
        Row("hit ratio", Ratio(memory.Hits, memory.Misses), redis is null ? null : Ratio(redis.Hits, redis.Misses));
        Row("evicted", Page.Count(memory.Evictions), null);
        Row("not admitted", Page.Count(memory.Rejections), null);
        Row("read", NotApplicable, redis is null ? null : Page.Size(redis.BytesRead));
        Row("written", NotApplicable, redis is null ? null : Page.Size(redis.BytesWritten));
        Row("failed", NotApplicable, redis is null ? null : Page.Count(redis.Failures));
        Row("corrupt", NotApplicable, redis is null ? null : Page.Count(redis.Corrupt));
        Page.Write(output, table);
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{statistics.Encoded:N0} pictures were encoded. {statistics.Waits:N0} lookups waited for an encoding in this gateway, "
            + $"{statistics.SharedWaits:N0} for one in another gateway. Hits saved {statistics.Saved.TotalSeconds:N1} s of encoding."));
    }

    private static string Ratio(long hits, long misses) =>
        hits + misses == 0 ? NotApplicable : string.Create(CultureInfo.InvariantCulture, $"{100.0 * hits / (hits + misses):0.0} %");
}
