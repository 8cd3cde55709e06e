using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.LatentCache;

/// <summary>Whether latents of this dtype and shape can stand under a key.</summary>
public delegate bool LatentFit(TensorDtype dtype, ImmutableArray<int> shape);

/// <summary>
/// Latents as bytes: a header of 96 bytes, then the elements. Header: magic "FLAT", version 3, dtype, rank, a zero, cost
/// in microseconds (int32), five sizes (int32), SHA-256 of the elements, SHA-256 of all that and the key; all
/// little-endian. Whatever does not read back exactly, or was written under another key, is a miss.
/// </summary>
public static class LatentValue
{
    public const int HeaderBytes = 96;

    private const uint Magic = 0x54414c46;
    private const byte Version = 3;
    private const int MostDimensions = 5;
    private const int Sizes = 12; // where they begin
    private const int Checksum = 32;
    private const int Seal = 64;

    /// <returns>Header and elements, these in place.</returns>
    public static ReadOnlySequence<byte> Write(string key, LatentEntry entry)
    {
        var tensor = entry.Latents.Tensor;
        if (tensor.Shape.Length > MostDimensions) throw new FlamingoException(FlamingoErrorKind.Internal, $"Latents [{string.Join(", ", tensor.Shape)}] have more than {MostDimensions} dimensions.");
        var header = new byte[HeaderBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        (header[4], header[5], header[6]) = (Version, (byte)tensor.Dtype, (byte)tensor.Shape.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), (int)Math.Clamp(entry.Cost.TotalMicroseconds, 0, int.MaxValue));
        foreach (var (axis, size) in tensor.Shape.Index()) BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(Sizes + (4 * axis)), size);
        entry.Latents.Checksum.Span.CopyTo(header.AsSpan(Checksum));
        SealOf(header, key).CopyTo(header.AsSpan(Seal));
        var (first, last) = Part.Joined(header, tensor.Bytes);
        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    /// <returns>Null for anything corrupt, of another version, under another key or of another shape. The tensor reads the value in place.</returns>
    public static LatentEntry? Read(string key, ReadOnlyMemory<byte> value, LatentFit fits) =>
        value.Length >= HeaderBytes && ElementBytes(key, value.Span[..HeaderBytes], fits) == value.Length - HeaderBytes ? Read(value[..HeaderBytes], value[HeaderBytes..]) : null;

    /// <returns>How many bytes of elements follow the header; null where it is not to be trusted.</returns>
    internal static int? ElementBytes(string key, ReadOnlySpan<byte> header, LatentFit fits)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic || header[4] != Version || header[6] > MostDimensions || !header[Seal..].SequenceEqual(SealOf(header, key))) return null;
        var (dtype, shape) = Form(header);
        if (!Enum.IsDefined(dtype) || !fits(dtype, shape)) return null;
        var bytes = shape.Aggregate((long)TensorData.ElementSize(dtype), (product, size) => product > int.MaxValue ? product : product * size);
        return bytes is > 0 and <= int.MaxValue ? (int)bytes : null;
    }

    /// <param name="header">One that gave this many <paramref name="elements"/>.</param>
    internal static LatentEntry? Read(ReadOnlyMemory<byte> header, ReadOnlyMemory<byte> elements)
    {
        var (dtype, shape) = Form(header.Span);
        var latents = new ChecksummedLatents(new TensorData(dtype, shape, elements), header[Checksum..Seal]);
        return latents.IsIntact() ? new LatentEntry(latents, TimeSpan.FromMicroseconds(BinaryPrimitives.ReadInt32LittleEndian(header.Span[8..]))) : null;
    }

    private static (TensorDtype Dtype, ImmutableArray<int> Shape) Form(ReadOnlySpan<byte> header)
    {
        var shape = ImmutableArray.CreateBuilder<int>(header[6]);
        for (var axis = 0; axis < header[6]; axis++) shape.Add(BinaryPrimitives.ReadInt32LittleEndian(header[(Sizes + (4 * axis))..]));
        return ((TensorDtype)header[5], shape.MoveToImmutable());
    }

    private static byte[] SealOf(ReadOnlySpan<byte> header, string key)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(header[..Seal]);
        hash.AppendData(Encoding.UTF8.GetBytes(key));
        return hash.GetHashAndReset();
    }

    private sealed class Part : ReadOnlySequenceSegment<byte>
    {
        public static (Part First, Part Last) Joined(ReadOnlyMemory<byte> first, ReadOnlyMemory<byte> last)
        {
            var end = new Part { Memory = last, RunningIndex = first.Length };
            return (new Part { Memory = first, Next = end }, end);
        }
    }
}
