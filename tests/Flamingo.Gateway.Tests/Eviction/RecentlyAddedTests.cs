using Flamingo.Gateway.Delivery;
using Flamingo.Gateway.Eviction;

namespace Flamingo.Gateway.Tests.Eviction;

public sealed class RecentlyAddedTests
{
    [Fact]
    public void Thousands_of_operations_agree_with_a_plain_model()
    {
        var (keys, random) = (new RecentlyAdded<string>(3), new Random(5));
        var model = new List<(string Key, string Value)>(); // newest first
        for (var step = 0; step < 10_000; step++)
        {
            var key = ((char)('a' + random.Next(6))).ToString();
            switch (random.Next(3))
            {
                case 0:
                    keys.Add(key, $"{step}");
                    model.RemoveAll(added => added.Key == key);
                    model.Insert(0, (key, $"{step}"));
                    if (model.Count > 3) model.RemoveAt(3);
                    break;
                case 1:
                    keys.Remove(key);
                    model.RemoveAll(added => added.Key == key);
                    break;
                default:
                    Assert.Equal(model.Find(added => added.Key == key).Value, keys.Find(key)); // the value added last, or none
                    break;
            }

            Assert.Equal(model.Count, keys.Count);
        }
    }
}
