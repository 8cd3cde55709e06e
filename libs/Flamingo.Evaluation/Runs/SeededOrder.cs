using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Evaluation.Runs;

/// <summary>
/// Orders that depend only on a seed and on names, so that every model that is compared gets the same shots, on every machine and in every
/// version of .NET.
/// </summary>
internal static class SeededOrder
{
    /// <summary>The items in an order that the seed and the purpose choose.</summary>
    /// <param name="name">A name that no other item has; items with the same name keep their order.</param>
    public static IEnumerable<T> Shuffled<T>(IEnumerable<T> items, ulong seed, string purpose, Func<T, string> name) =>
        items.Select(item => (Item: item, Key: Key(seed, purpose, name(item)))).OrderBy(one => one.Key).Select(one => one.Item);

    /// <summary>A number that depends on all of these, for example the seed of one query's draw at a server.</summary>
    public static ulong Key(ulong seed, string purpose, string name)
    {
        // Neither part may hold a zero byte in practice, so the parts cannot run into each other.
        var text = Encoding.UTF8.GetBytes($"12345678{purpose}\0{name}");
        BinaryPrimitives.WriteUInt64LittleEndian(text, seed);
        return BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(text));
    }
}
