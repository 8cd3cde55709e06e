using System.Buffers.Binary;
using System.Collections.Immutable;
using Flamingo.Stages;

namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// Latents as bytes: magic "FLAT", version 2, dtype, rank, cost in microseconds (int32), sizes (int32), SHA-256 of the
/// elements, elements; all little-endian. Whatever does not read back exactly is a miss.
/// </summary>
public static class LatentValue
{
    private const uint Magic = 0x54414c46;
    private const byte Version = 2;
    private const int Fixed = 12; // bytes before the sizes
    private const int MostDimensions = 8;

    public static byte[] Write(LatentEntry entry)
    {
        var (latents, tensor) = (entry.Latents, entry.Latents.Tensor);
        var header = Fixed + (4 * tensor.Shape.Length) + 32;
        var value = new byte[header + tensor.Bytes.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(value, Magic);
        (value[4], value[5], value[6]) = (Version, (byte)tensor.Dtype, (byte)tensor.Shape.Length);
        BinaryPrimitives.WriteInt32LittleEndian(value.AsSpan(8), (int)Math.Clamp(entry.Cost.TotalMicroseconds, 0, int.MaxValue));
        foreach (var (axis, size) in tensor.Shape.Index()) BinaryPrimitives.WriteInt32LittleEndian(value.AsSpan(Fixed + (4 * axis)), size);
        latents.Checksum.Span.CopyTo(value.AsSpan(header - 32));
        tensor.Bytes.Span.CopyTo(value.AsSpan(header));
        return value;
    }

    /// <returns>Null for anything corrupt or of another version. The tensor reads the value in place.</returns>
    public static LatentEntry? Read(ReadOnlyMemory<byte> value)
    {
        var span = value.Span;
        if (span.Length < Fixed || BinaryPrimitives.ReadUInt32LittleEndian(span) != Magic || span[4] != Version || span[6] > MostDimensions) return null;
        var header = Fixed + (4 * span[6]) + 32;
        if (span.Length < header) return null;
        var shape = ImmutableArray.CreateBuilder<int>(span[6]);
        for (var axis = 0; axis < span[6]; axis++) shape.Add(BinaryPrimitives.ReadInt32LittleEndian(span[(Fixed + (4 * axis))..]));
        try
        {
            var latents = new ChecksummedLatents(new TensorData((TensorDtype)span[5], shape.ToImmutable(), value[header..]), value.Slice(header - 32, 32));
            return latents.IsIntact() ? new LatentEntry(latents, TimeSpan.FromMicroseconds(BinaryPrimitives.ReadInt32LittleEndian(span[8..]))) : null;
        }
        catch (StageException)
        {
            return null; // bytes that do not fit the shape
        }
    }
}
