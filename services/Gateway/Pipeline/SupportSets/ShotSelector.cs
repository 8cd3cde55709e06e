using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>Selects the examples of a set that go into a prompt, and their order.</summary>
public static class ShotSelector
{
    /// <param name="query">The query's embedding, scaled to length one; used only with Rices.</param>
    /// <returns>Indices in the set, in the order of the prompt.</returns>
    public static IReadOnlyList<int> Select(SupportSetChoice choice, StoredSet set, ReadOnlyMemory<byte> query) => choice.Selection switch
    {
        ShotSelection.All => [.. Enumerable.Range(0, set.Count)],
        ShotSelection.First => [.. Enumerable.Range(0, choice.Count)],
        ShotSelection.Random => [.. Shuffled(set.Count, choice.Seed, 0).Take(choice.Count)],
        // the most similarities example comes last, next to the query
        ShotSelection.Rices => [.. Nearest(set.Shots, query).Take(choice.Count).Reverse()],
        _ => throw new InvalidOperationException($"{choice.Selection} is not a known selection."),
    };

    /// <summary>Returns the orders of the shots for an ensemble: first as selected, then permutations.</summary>
    public static IEnumerable<IReadOnlyList<int>> Permutations(int shots, Ensemble ensemble) =>
        Enumerable.Range(0, ensemble.Permutations).Select(turn =>
            turn == 0 ? (IReadOnlyList<int>)[.. Enumerable.Range(0, shots)] : [.. Shuffled(shots, ensemble.Seed, turn)]);

    /// <summary>Returns CLIP's embedding in the form that retrieval compares: scaled to length one, little-endian f32.</summary>
    public static ReadOnlyMemory<byte> Embedding(TensorData pooled)
    {
        var values = pooled.ToFloats();
        var length = TensorPrimitives.Norm<float>(values);
        if (length > 0) TensorPrimitives.Divide(values, length, values);
        return MemoryMarshal.AsBytes<float>(values).ToArray();
    }

    // Shots of equal similarity stay in the order of the set.
    private static IEnumerable<int> Nearest(IReadOnlyList<StoredShot> shots, ReadOnlyMemory<byte> query)
    {
        var queryVector = MemoryMarshal.Cast<byte, float>(query.Span);
        var similarities = new float[shots.Count];
        for (var index = 0; index < similarities.Length; index++)
            similarities[index] = TensorPrimitives.Dot(queryVector, MemoryMarshal.Cast<byte, float>(shots[index].Embedding.Span));
        return Enumerable.Range(0, similarities.Length).OrderByDescending(index => similarities[index]);
    }

    // Orders indices by a hash of seed, turn and index. The hash is the same on every machine and in every version of .NET.
    private static IEnumerable<int> Shuffled(int count, ulong seed, int turn)
    {
        Span<byte> text = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(text, seed);
        BinaryPrimitives.WriteInt32LittleEndian(text[8..], turn);
        var weights = new ulong[count];
        for (var index = 0; index < count; index++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(text[12..], index);
            weights[index] = BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(text));
        }

        return Enumerable.Range(0, count).OrderBy(index => weights[index]);
    }
}
