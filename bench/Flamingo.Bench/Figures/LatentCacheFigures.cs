using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Fixtures.Caching;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Stages;

namespace Flamingo.Bench.Figures;

/// <summary>
/// Compares the memory tier's eviction policy with a plain LRU cache of the same size under the same requests. No model and no time are
/// involved, so the figures are the same on every machine.
/// </summary>
public static class LatentCacheFigures
{
    private const int Unit = 40; // bytes of a value of ten numbers
    private static readonly double[] Skews = [0.7, 0.9, 1.1];
    private static readonly LatentValue[] BySize =
    [
        .. Enumerable.Range(1, 19).Select(floats =>
            new LatentValue(ChecksummedLatents.Of(TensorData.FromFloats(new float[floats], floats)), TimeSpan.Zero)),
    ];

    public static IEnumerable<Figure> All =>
    [
        new("zipf_hit_ratio_over_lru", "ratio",
            "hits of the memory tier over hits of plain LRU, Zipf 0.9 over 10 000 pictures of different sizes, room for 500",
            async (bench, _) =>
        {
            var ratio = 0.0;
            foreach (var skew in Skews)
            {
                var (ours, plain) = Zipf(skew);
                await bench.ReportAsync($"  Zipf {skew}: {ours:P1} hits, plain LRU {plain:P1}");
                if (skew == 0.9) ratio = ours / plain;
            }

            return ratio;
        }),
        new("scan_survival", "share",
            "of 500 pictures in use, those still held after a scan of 100 000 new ones through room for 1000; every twentieth request is "
            + "for one in use", async (bench, _) =>
        {
            var (ours, plain) = Scan();
            await bench.ReportAsync($"  {ours:P1} held, plain LRU {plain:P1}");
            return ours;
        }),
    ];

    private static (double Ours, double Plain) Zipf(double skew)
    {
        const int requests = 200_000;
        var (cache, plain, hits) = (Cache(500 * Unit), Plain(500 * Unit), (Ours: 0, Plain: 0));
        foreach (var key in ZipfKeys.Draw(10_000, skew, requests, seed: 11))
        {
            var entry = BySize[key[^1] % BySize.Length];
            if (Ask(cache, key, entry)) hits.Ours++;
            if (Ask(plain, key, entry)) hits.Plain++;
        }

        return ((double)hits.Ours / requests, (double)hits.Plain / requests);
    }

    private static (double Ours, double Plain) Scan()
    {
        var (cache, plain, entry) = (Cache(1000 * Unit), Plain(1000 * Unit), BySize[9]);
        var used = Enumerable.Range(0, 500).Select(number => $"used {number}").ToList();
        foreach (var key in Enumerable.Repeat(used, 3).SelectMany(round => round)) Both(key);
        for (var number = 0; number < 100_000; number++)
        {
            Both($"scanned {number}");
            if (number % 20 == 0) Both(used[number / 20 % used.Count]);
        }

        return (used.Count(key => cache.Peek(key) is not null) / 500.0, used.Count(key => plain.Get(key) is not null) / 500.0);

        void Both(string key)
        {
            Ask(cache, key, entry);
            Ask(plain, key, entry);
        }
    }

    private static TinyLfuCache<LatentValue> Cache(long bytes) => new(bytes, value => value.ElementBytes);

    private static PlainLru<LatentValue> Plain(long bytes) => new(bytes, value => (int)value.ElementBytes);

    private static bool Ask(TinyLfuCache<LatentValue> cache, string key, LatentValue entry)
    {
        if (cache.Get(key) is not null) return true;
        cache.Put(key, entry);
        return false;
    }

    private static bool Ask(PlainLru<LatentValue> cache, string key, LatentValue entry)
    {
        if (cache.Get(key) is not null) return true;
        cache.Put(key, entry);
        return false;
    }
}
