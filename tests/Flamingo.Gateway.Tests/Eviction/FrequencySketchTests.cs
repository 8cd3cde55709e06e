using Flamingo.Fixtures.Caching;
using Flamingo.Gateway.Eviction;

namespace Flamingo.Gateway.Tests.Eviction;

public sealed class FrequencySketchTests
{
    [Fact]
    public void It_never_estimates_too_low_and_seldom_too_high()
    {
        var (sketch, uses) = (new FrequencySketch(4096, seed: 7), new Dictionary<string, int>());
        foreach (var key in ZipfKeys.Draw(1000, 0.9, 5000, seed: 3))
        {
            sketch.Add(key, int.MaxValue);
            uses[key] = uses.GetValueOrDefault(key) + 1;
        }

        Assert.All(uses, pair => Assert.InRange(sketch.Estimate(pair.Key), Math.Min(pair.Value, 15), 15));
        Assert.InRange(uses.Count(pair => sketch.Estimate(pair.Key) > Math.Min(pair.Value, 15)), 0, uses.Count / 100);
        Assert.Equal(0, sketch.Estimate("unused"));
    }

    [Fact]
    public void Fame_fades()
    {
        var sketch = new FrequencySketch(64, seed: 7);
        for (var use = 0; use < 12; use++) sketch.Add("a", sample: 100);
        Assert.Equal(12, sketch.Estimate("a"));
        for (var use = 12; use < 100; use++) sketch.Add($"other {use % 2}", sample: 100);
        Assert.Equal(6, sketch.Estimate("a")); // halved once
        for (var use = 0; use < 1000; use++) sketch.Add($"other {use % 2}", sample: 100);
        Assert.Equal(0, sketch.Estimate("a"));
    }
}
