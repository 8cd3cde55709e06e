using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>Which examples of a set go into a prompt, in which order.</summary>
public static class ShotSelector
{
    /// <param name="query">Embedding scaled to length one; with Rices alone.</param>
    /// <returns>Places in the set, in the order of the prompt.</returns>
    public static IReadOnlyList<int> Select(SupportSetChoice choice, StoredSet set, ReadOnlyMemory<byte> query) => choice.Selection switch
    {
        ShotSelection.All => [.. Enumerable.Range(0, set.Count)],
        ShotSelection.First => [.. Enumerable.Range(0, choice.Count)],
        ShotSelection.Random => [.. Drawn(set.Count, choice.Seed, 0).Take(choice.Count)],
        ShotSelection.Rices => [.. Nearest(set.Shots, query).Take(choice.Count).Reverse()], // the most similar stands next to the query
        _ => throw new InvalidOperationException($"{choice.Selection} is no selection."),
    };

    /// <summary>Orders of the shots for an ensemble: as selected, then permutations.</summary>
    public static IEnumerable<IReadOnlyList<int>> Permutations(int shots, Ensemble ensemble) =>
        Enumerable.Range(0, ensemble.Permutations).Select(turn =>
            turn == 0 ? (IReadOnlyList<int>)[.. Enumerable.Range(0, shots)] : [.. Drawn(shots, ensemble.Seed, turn)]);

    /// <summary>CLIP's embedding as retrieval compares it: scaled to length one, little-endian f32.</summary>
    public static ReadOnlyMemory<byte> Embedding(TensorData pooled)
    {
        var values = pooled.ToFloats();
        var length = TensorPrimitives.Norm<float>(values);
        if (length > 0) TensorPrimitives.Divide(values, length, values);
        return MemoryMarshal.AsBytes<float>(values).ToArray();
    }

    // Shots that are equally similar stay in the order of the set.
    private static IEnumerable<int> Nearest(IReadOnlyList<StoredShot> shots, ReadOnlyMemory<byte> query)
    {
        var asked = MemoryMarshal.Cast<byte, float>(query.Span);
        var similar = new float[shots.Count];
        for (var place = 0; place < similar.Length; place++)
            similar[place] = TensorPrimitives.Dot(asked, MemoryMarshal.Cast<byte, float>(shots[place].Embedding.Span));
        return Enumerable.Range(0, similar.Length).OrderByDescending(place => similar[place]);
    }

    // Places ordered by a hash of seed, turn and place, which is the same on every machine and in every version of .NET.
    private static IEnumerable<int> Drawn(int count, ulong seed, int turn)
    {
        Span<byte> text = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(text, seed);
        BinaryPrimitives.WriteInt32LittleEndian(text[8..], turn);
        var weights = new ulong[count];
        for (var place = 0; place < count; place++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(text[12..], place);
            weights[place] = BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(text));
        }

        return Enumerable.Range(0, count).OrderBy(place => weights[place]);
    }
}
