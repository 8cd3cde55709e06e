using Flamingo.Gateway.Delivery;

namespace Flamingo.Gateway.Tests.Delivery;

public sealed class DeliveredKeysTests
{
    [Fact]
    public void Thousands_of_operations_agree_with_a_plain_model()
    {
        var (keys, model, random) = (new DeliveredKeys(3), new List<string>(), new Random(5)); // most recent first
        for (var step = 0; step < 10_000; step++)
        {
            var key = ((char)('a' + random.Next(6))).ToString();
            switch (random.Next(3))
            {
                case 0:
                    keys.Add(key);
                    model.Remove(key);
                    model.Insert(0, key);
                    if (model.Count > 3) model.RemoveAt(3);
                    break;
                case 1:
                    keys.Remove(key);
                    model.Remove(key);
                    break;
                default:
                    Assert.Equal(model.Contains(key), keys.Contains(key));
                    break;
            }

            Assert.Equal(model.Count, keys.Count);
        }
    }
}
