using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Flamingo.Bench.Peers.Gguf;

/// <summary>
/// Writes a GGUF file of version 3 with random weights: magic, counts, keys, a table of tensors and their data. Dimensions are written
/// fastest first and each tensor begins at a multiple of 32 bytes, as the specification in ggml's repository says (docs/gguf.md). Random
/// values are drawn once and used again for every tensor, which suits timing but not statistics.
/// </summary>
public static class GgufFile
{
    private const int Alignment = 32;
    private const int Pattern = 1 << 20; // bytes of random values that are drawn once
    private const double Deviation = 0.02;

    /// <param name="keys">The metadata: values are string, uint, float or bool.</param>
    /// <exception cref="ArgumentException">
    /// A row cannot be divided into groups of 32 values, or a key has a value of another type.
    /// </exception>
    public static void Write(
        string path, IReadOnlyDictionary<string, object> keys, IReadOnlyList<GgufTensor> tensors, int seed, CancellationToken cancellation)
    {
        foreach (var tensor in tensors.Where(one => one.Type is GgufType.Q4_0 or GgufType.Q8_0))
        {
            if (tensor.Columns % GgufTensor.GroupValues != 0)
                throw new ArgumentException($"{tensor.Name} has rows of {tensor.Columns} values, which is no multiple of 32.");
        }

        using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 1 << 20);
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)keys.Count);
        foreach (var (key, value) in keys) WriteKey(writer, key, value);
        var offset = 0L;
        foreach (var tensor in tensors)
        {
            WriteText(writer, tensor.Name);
            long[] dimensions = tensor.Rows == 0 ? [tensor.Columns] : [tensor.Columns, tensor.Rows];
            writer.Write((uint)dimensions.Length);
            foreach (var dimension in dimensions) writer.Write((ulong)dimension);
            writer.Write((uint)tensor.Type);
            writer.Write((ulong)offset);
            offset = Aligned(offset + tensor.Bytes);
        }

        Pad(writer);
        var patterns = new Dictionary<GgufType, byte[]>();
        foreach (var tensor in tensors)
        {
            cancellation.ThrowIfCancellationRequested();
            WriteValues(writer, tensor, patterns, seed);
            Pad(writer);
        }
    }

    private static void WriteKey(BinaryWriter writer, string key, object value)
    {
        WriteText(writer, key);
        switch (value)
        {
            case uint number: writer.Write(4u); writer.Write(number); break;
            case float number: writer.Write(6u); writer.Write(number); break;
            case bool flag: writer.Write(7u); writer.Write(flag); break;
            case string text: writer.Write(8u); WriteText(writer, text); break;
            default: throw new ArgumentException($"{key} has a value of {value.GetType()}, which is not written here.");
        }
    }

    private static void WriteText(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void WriteValues(BinaryWriter writer, GgufTensor tensor, Dictionary<GgufType, byte[]> patterns, int seed)
    {
        byte[] pattern;
        if (tensor.Constant is { } constant)
        {
            if (tensor.Type != GgufType.F32) throw new ArgumentException($"{tensor.Name}: a constant tensor is F32.");
            pattern = MemoryMarshal.AsBytes(Enumerable.Repeat(constant, (int)tensor.Elements).ToArray().AsSpan()).ToArray();
        }
        else if (!patterns.TryGetValue(tensor.Type, out pattern!))
        {
            patterns[tensor.Type] = pattern = Random(tensor.Type, new Random(seed));
        }

        for (var rest = tensor.Bytes; rest > 0; rest -= pattern.Length)
            writer.Write(pattern.AsSpan(0, (int)Math.Min(rest, pattern.Length)));
    }

    // Whole values, or whole groups of values, of a type.
    private static byte[] Random(GgufType type, Random random)
    {
        if (type is GgufType.F32 or GgufType.BF16)
        {
            var numbers = Enumerable.Range(0, Pattern / sizeof(float)).Select(_ => (float)(Deviation * ((2 * random.NextDouble()) - 1)))
                .ToArray();
            return type == GgufType.F32
                ? MemoryMarshal.AsBytes(numbers.AsSpan()).ToArray()
                : [.. numbers.SelectMany(number => BitConverter.GetBytes((ushort)(BitConverter.SingleToUInt32Bits(number) >> 16)))];
        }

        var (group, largest) = type == GgufType.Q8_0 ? (sizeof(ushort) + GgufTensor.GroupValues, 127)
            : (sizeof(ushort) + (GgufTensor.GroupValues / 2), 8);
        var bytes = new byte[Pattern / group * group];
        random.NextBytes(bytes);
        for (var at = 0; at < bytes.Length; at += group)
            BinaryPrimitives.WriteHalfLittleEndian(bytes.AsSpan(at), (Half)(Deviation / largest));
        return bytes;
    }

    private static long Aligned(long offset) => (offset + Alignment - 1) / Alignment * Alignment;

    private static void Pad(BinaryWriter writer)
    {
        writer.Flush();
        writer.Write(new byte[Aligned(writer.BaseStream.Position) - writer.BaseStream.Position]);
    }
}
