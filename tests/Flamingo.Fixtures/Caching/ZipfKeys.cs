namespace Flamingo.Fixtures.Caching;

/// <summary>Keys drawn from a Zipf distribution: the n-th most popular key comes n^-skew times as often as the first.</summary>
public static class ZipfKeys
{
    public static IEnumerable<string> Draw(int keys, double skew, int count, int seed)
    {
        var (random, sums, sum) = (new Random(seed), new double[keys], 0.0);
        for (var key = 0; key < keys; key++) sums[key] = sum += Math.Pow(key + 1, -skew);
        for (var draw = 0; draw < count; draw++)
        {
            var at = Array.BinarySearch(sums, random.NextDouble() * sum);
            yield return $"{(at < 0 ? ~at : at)}";
        }
    }
}
