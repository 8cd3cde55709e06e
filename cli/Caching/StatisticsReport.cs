using System.Globalization;
using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Caching;

/// <summary>What a cache holds and did, as an object or as tables; scripts outside depend on the object's members.</summary>
internal static class StatisticsReport
{
    private const string Nothing = "–";

    public static object Object(CacheStatistics statistics) => new
    {
        statistics.Memory, statistics.Redis, statistics.Encoded, statistics.Waits, statistics.SharedWaits,
        SavedMs = Math.Round(statistics.Saved.TotalMilliseconds, 3),
    };

    public static void Write(CacheStatistics statistics, TextWriter output)
    {
        var (memory, redis) = (statistics.Memory, statistics.Redis);
        var table = Page.Table("", "memory", "redis");
        void Row(string name, string inMemory, string? inRedis) => Page.AddRow(table, name, inMemory, inRedis ?? Nothing);
        Row("state", "here", redis is null ? "off" : redis.Reachable ? "reachable" : "gone");
        Row("entries", Page.Count(memory.Entries), null);
        Row("held", $"{Page.Size(memory.Bytes)} of {Page.Size(memory.MaxBytes)}", null);
        Row("hits", Page.Count(memory.Hits), redis is null ? null : Page.Count(redis.Hits));
        Row("misses", Page.Count(memory.Misses), redis is null ? null : Page.Count(redis.Misses));
        Row("hit ratio", Ratio(memory.Hits, memory.Misses), redis is null ? null : Ratio(redis.Hits, redis.Misses));
        Row("evicted", Page.Count(memory.Evictions), null);
        Row("not let in", Page.Count(memory.Rejections), null);
        Row("read", Nothing, redis is null ? null : Page.Size(redis.BytesRead));
        Row("written", Nothing, redis is null ? null : Page.Size(redis.BytesWritten));
        Row("failed", Nothing, redis is null ? null : Page.Count(redis.Failures));
        Row("corrupt", Nothing, redis is null ? null : Page.Count(redis.Corrupt));
        Page.Write(output, table);
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{statistics.Encoded:N0} pictures encoded; {statistics.Waits:N0} waited for one that was in work here, "
                + $"{statistics.SharedWaits:N0} for one at another gateway; hits saved {statistics.Saved.TotalSeconds:N1} s of encoding."));
    }

    private static string Ratio(long hits, long misses) =>
        hits + misses == 0 ? Nothing : string.Create(CultureInfo.InvariantCulture, $"{100.0 * hits / (hits + misses):0.0} %");
}
