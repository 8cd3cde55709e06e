using Flamingo.Gateway.LatentCache;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tests.LatentCache;

public sealed class MemoryLatentCacheTests
{
    [Fact]
    public void Thousands_of_operations_agree_with_a_plain_model()
    {
        const int bound = 64;
        var cache = new MemoryLatentCache(bound);
        var model = new List<(string Key, ChecksummedLatents Latents)>(); // most recent first
        var random = new Random(3);
        for (var step = 0; step < 20_000; step++)
        {
            var key = ((char)('a' + random.Next(8))).ToString();
            var at = model.FindIndex(entry => entry.Key == key);
            if (random.Next(2) == 0)
            {
                var held = cache.Get(key);
                if (at < 0)
                {
                    Assert.Null(held);
                    continue;
                }

                var entry = model[at];
                Assert.Same(entry.Latents, held?.Latents);
                model.RemoveAt(at);
                model.Insert(0, entry);
            }
            else
            {
                var length = random.Next(1, 19); // up to 72 bytes: some are larger than the whole cache
                var latents = ChecksummedLatents.Of(TensorData.FromFloats(new float[length], length));
                cache.Put(key, new LatentEntry(latents, TimeSpan.Zero));
                if (at >= 0) model.RemoveAt(at);
                if (4 * length <= bound)
                {
                    model.Insert(0, (key, latents));
                    while (model.Sum(entry => entry.Latents.Tensor.Bytes.Length) > bound) model.RemoveAt(model.Count - 1);
                }
            }

            Assert.Equal(model.Sum(entry => entry.Latents.Tensor.Bytes.Length), cache.Bytes);
            Assert.Equal(model.Count, cache.Count);
            Assert.InRange(cache.Bytes, 0, bound);
        }
    }
}
