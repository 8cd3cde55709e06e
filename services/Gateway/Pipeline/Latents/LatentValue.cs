using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using Flamingo.Abstractions;
using Flamingo.Gateway.Redis;
using Flamingo.Stages;

namespace Flamingo.Gateway.Latents;

/// <summary>
/// A value of the cache: latents, or the attention or pooled embedding computed with them. Its serialized form is a header of 96
/// bytes, then the elements. The header holds the magic "FLAT", version 3, dtype, rank, a zero byte, the cost in microseconds
/// (int32), five sizes (int32), the SHA-256 of the elements, and the seal of all these fields and the key. Numbers are
/// little-endian. Bytes that are damaged, sealed otherwise, or written under another key, count as a miss.
/// </summary>
/// <param name="Latents">The tensor, with the SHA-256 of its elements.</param>
/// <param name="Cost">Time that the stages took to compute it, which a cache hit saves.</param>
public sealed record LatentValue(ChecksummedLatents Latents, TimeSpan Cost)
{
    public const int HeaderBytes = 96;

    private const uint Magic = 0x54414c46;
    private const byte Version = 3;
    private const int MostDimensions = 5;
    private const int Sizes = 12; // offset of the first of five sizes
    private const int Checksum = 32;
    private const int Seal = 64;

    /// <summary>Size of the elements in bytes, as counted by the bound of the memory tier.</summary>
    public long ElementBytes => Latents.Tensor.Bytes.Length;

    /// <param name="key">The key under which the value is stored.</param>
    /// <param name="seal">How the value is sealed; null means without a key.</param>
    /// <returns>The header followed by the elements, which are not copied.</returns>
    public ReadOnlySequence<byte> Write(string key, IntegritySeal? seal = null)
    {
        var tensor = Latents.Tensor;
        if (tensor.Shape.Length > MostDimensions)
            throw new FlamingoException(
                FlamingoErrorKind.Internal, $"Latents [{string.Join(", ", tensor.Shape)}] have more than {MostDimensions} dimensions.");
        var header = new byte[HeaderBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        (header[4], header[5], header[6]) = (Version, (byte)tensor.Dtype, (byte)tensor.Shape.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), (int)Math.Clamp(Cost.TotalMicroseconds, 0, int.MaxValue));
        foreach (var (axis, size) in tensor.Shape.Index())
            BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(Sizes + (4 * axis)), size);
        Latents.Checksum.Span.CopyTo(header.AsSpan(Checksum));
        (seal ?? IntegritySeal.Plain).Of(header.AsSpan(0, Seal), key).CopyTo(header.AsSpan(Seal));
        var elements = new Piece(tensor.Bytes, header.Length, null);
        return new ReadOnlySequence<byte>(new Piece(header, 0, elements), 0, elements, tensor.Bytes.Length);
    }

    /// <returns>
    /// Null for bytes that are corrupt, of another version or of another key, and for a tensor that <paramref name="fits"/>
    /// rejects. The tensor refers to <paramref name="bytes"/> without a copy, so they must not change.
    /// </returns>
    public static LatentValue? Read(
        string key, ReadOnlyMemory<byte> bytes, Func<TensorDtype, ImmutableArray<int>, bool> fits, IntegritySeal? seal = null)
    {
        if (bytes.Length < HeaderBytes) return null;
        var header = bytes.Span[..HeaderBytes];
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic || header[4] != Version || header[6] > MostDimensions
            || !(seal ?? IntegritySeal.Plain).Fits(header[Seal..], header[..Seal], key)) return null;
        var (dtype, shape) = ((TensorDtype)header[5], ShapeOf(header));
        if (!Enum.IsDefined(dtype) || !fits(dtype, shape)) return null;
        var expected = shape.Aggregate(
            (long)TensorData.ElementSize(dtype), (product, size) => product > int.MaxValue ? product : product * size);
        if (expected <= 0 || expected != bytes.Length - HeaderBytes) return null;
        var latents = new ChecksummedLatents(new TensorData(dtype, shape, bytes[HeaderBytes..]), bytes[Checksum..Seal]);
        var cost = TimeSpan.FromMicroseconds(BinaryPrimitives.ReadInt32LittleEndian(header[8..]));
        return latents.IsIntact() ? new LatentValue(latents, cost) : null;
    }

    private static ImmutableArray<int> ShapeOf(ReadOnlySpan<byte> header)
    {
        var shape = ImmutableArray.CreateBuilder<int>(header[6]);
        for (var axis = 0; axis < header[6]; axis++)
            shape.Add(BinaryPrimitives.ReadInt32LittleEndian(header[(Sizes + (4 * axis))..]));
        return shape.MoveToImmutable();
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> bytes, long before, Piece? next) => (Memory, RunningIndex, Next) = (bytes, before, next);
    }
}
