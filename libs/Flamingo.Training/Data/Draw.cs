using Flamingo.LanguageModel.Engine.Sampling;

namespace Flamingo.Training.Data;

/// <summary>
/// Random numbers that depend only on a seed and on what they are for, such as the flip of a picture in an epoch, so that neither threads
/// nor a resumption can change them. The mixing is that of <see cref="CounterGenerator"/>.
/// </summary>
/// <param name="State">The seed with all that was mixed in.</param>
internal readonly record struct Draw(ulong State)
{
    /// <summary>Returns an independent source for a part.</summary>
    public Draw Of(long part) =>
        new(CounterGenerator.Mix(CounterGenerator.Mix(State + 0x9e3779b97f4a7c15) ^ ((ulong)part * 0xd1342543de82ef95)));

    /// <returns>Uniform in [0, 1).</returns>
    public double Uniform() => (CounterGenerator.Mix(State) >> 11) * (1.0 / (1UL << 53));

    /// <returns>Uniform from 0 up to, but not including, <paramref name="count"/>.</returns>
    public int Below(int count) => (int)(Uniform() * count);

    /// <summary>Returns the numbers from 0 up to count − 1 in a random order.</summary>
    public int[] Order(int count)
    {
        var order = Enumerable.Range(0, count).ToArray();
        for (var at = count - 1; at > 0; at--)
        {
            var other = Of(at).Below(at + 1);
            (order[at], order[other]) = (order[other], order[at]);
        }

        return order;
    }
}
