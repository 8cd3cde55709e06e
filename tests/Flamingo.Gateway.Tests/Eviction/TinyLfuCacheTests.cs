using Flamingo.Abstractions;
using Flamingo.Fixtures.Caching;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tests.Eviction;

public sealed class TinyLfuCacheTests
{
    [Theory]
    [InlineData(0), InlineData(1), InlineData(2), InlineData(3)]
    public void Thousands_of_operations_never_leave_the_bound_nor_the_truth(ulong seed)
    {
        const int bound = 64;
        var cache = new TinyLfuCache<LatentValue>(bound, value => value.ElementBytes, windowShare: 0.25, seed);
        var (last, counted) = (new Dictionary<string, LatentValue>(), (Hits: 0L, Misses: 0L, Puts: 0L));
        var random = new Random((int)seed);
        for (var step = 0; step < 20_000; step++)
        {
            var key = ((char)('a' + random.Next(8))).ToString();
            switch (random.Next(200))
            {
                case 0:
                    var held = cache.Count;
                    Assert.Equal(held, cache.Clear());
                    Assert.Equal((0, 0L), (cache.Count, cache.Bytes));
                    (last, counted.Puts) = ([], counted.Puts - held);
                    break;
                case < 100:
                    var (glance, found) = (cache.Peek(key), cache.Get(key));
                    Assert.Same(glance, found);
                    if (found is null) counted.Misses++;
                    else counted.Hits++;
                    if (found is not null) Assert.Same(last[key], found); // never an older value
                    break;
                default:
                    if (cache.Peek(key) is not null) counted.Puts--; // replaced, not evicted
                    var entry = Entry(random.Next(1, 19)); // up to 72 bytes: some are larger than the whole cache
                    cache.Put(key, last[key] = entry);
                    counted.Puts++;
                    Assert.Equal(Size(entry) <= bound, cache.Peek(key) is not null); // the value that was put last is held
                    break;
            }

            var statistics = cache.Statistics;
            Assert.Equal(last.Keys.Select(cache.Peek).OfType<LatentValue>().Sum(Size), statistics.Bytes);
            Assert.Equal(last.Keys.Count(name => cache.Peek(name) is not null), statistics.Entries);
            Assert.InRange(statistics.Bytes, 0, bound);
            Assert.Equal((counted.Hits, counted.Misses), (statistics.Hits, statistics.Misses));
            // Every entry that was put is held, or was counted as evicted or rejected.
            Assert.Equal(counted.Puts, statistics.Entries + statistics.Evictions + statistics.Rejections);
        }

        Assert.True(cache.Statistics is { Evictions: > 100, Rejections: > 100, Hits: > 1000 });
    }

    [Fact]
    public void The_same_operations_under_the_same_seed_end_the_same()
    {
        static string Run(ulong seed)
        {
            var cache = new TinyLfuCache<LatentValue>(1000, value => value.ElementBytes, seed: seed);
            foreach (var key in ZipfKeys.Draw(500, 0.9, 20_000, seed: 5))
                if (cache.Get(key) is null) cache.Put(key, Entry(5));
            return string.Join(' ', Enumerable.Range(0, 500).Select(key => $"{key}").Where(key => cache.Peek(key) is not null))
                + cache.Statistics;
        }

        Assert.Equal(Run(1), Run(1));
    }

    [Fact]
    public void A_scan_of_100_000_keys_stays_within_the_bound_and_does_not_flush_what_is_in_use()
    {
        const int bound = 1000 * 40;
        var (cache, plain) = (Cache(bound), Plain(bound));
        var hot = Enumerable.Range(0, 500).Select(number => $"hot {number}").ToList();
        for (var round = 0; round < 5; round++)
            foreach (var key in hot) Use(key);
        for (var number = 0; number < 100_000; number++)
        {
            Use($"scan {number}");
            Assert.InRange(cache.Bytes, 0, bound);
        }

        // The scan is a hundred times as large as the cache and uses none of the popular keys. Only those that were still in the
        // window may be lost.
        Assert.InRange(hot.Count(key => cache.Peek(key) is not null), 400, 500);
        // the LRU cache that is compared has lost all of them, which shows that the scan was large enough
        Assert.Equal(0, hot.Count(key => plain.Get(key) is not null));

        void Use(string key)
        {
            if (cache.Get(key) is null) cache.Put(key, Entry(10));
            if (plain.Get(key) is null) plain.Put(key, Entry(10));
        }
    }

    [Theory]
    [InlineData(0.7), InlineData(0.9), InlineData(1.1)]
    public void A_zipf_load_is_hit_more_often_than_by_plain_lru(double skew)
    {
        var (cache, plain, hits) = (Cache(500 * 40), Plain(500 * 40), (Ours: 0, Plain: 0));
        foreach (var key in ZipfKeys.Draw(10_000, skew, 200_000, seed: 11))
        {
            var entry = Entry(1 + (key[^1] % 19)); // entries have different sizes
            if (cache.Get(key) is not null) hits.Ours++;
            else cache.Put(key, entry);
            if (plain.Get(key) is not null) hits.Plain++;
            else plain.Put(key, entry);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"skew {skew}: {hits.Ours / 2000.0:F1} % against {hits.Plain / 2000.0:F1} %");
        Assert.True(hits.Ours > 1.05 * hits.Plain, $"{hits.Ours} hits against {hits.Plain}");
    }

    [Fact]
    public void What_becomes_popular_replaces_what_was()
    {
        var cache = Cache(100 * 40);
        for (var round = 0; round < 20; round++) Ask("old");
        for (var round = 0; round < 40; round++) Ask("new");
        Assert.True(Enumerable.Range(0, 90).Count(number => cache.Peek($"new {number}") is not null) >= 85);

        void Ask(string generation)
        {
            for (var number = 0; number < 90; number++)
                if (cache.Get($"{generation} {number}") is null) cache.Put($"{generation} {number}", Entry(10));
        }
    }

    [Fact]
    public void A_cache_of_nothing_holds_nothing()
    {
        var cache = Cache(0);
        cache.Put("a", Entry(1));
        Assert.Null(cache.Get("a"));
        Assert.Equal((0, 0L, 1L), (cache.Count, cache.Bytes, cache.Statistics.Rejections));
    }

    private static TinyLfuCache<LatentValue> Cache(long bytes) => new(bytes, value => value.ElementBytes);

    private static PlainLru<LatentValue> Plain(long bytes) => new(bytes, value => (int)value.ElementBytes);

    private static LatentValue Entry(int floats) =>
        new(ChecksummedLatents.Of(TensorData.FromFloats(new float[floats], floats)), TimeSpan.Zero);

    private static long Size(LatentValue entry) => entry.Latents.Tensor.Bytes.Length;
}
