using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Flamingo.Abstractions;

/// <summary>Element types of tensors that are sent between stages.</summary>
public enum TensorDtype
{
    Float32 = 1,
    Float16 = 2,
    BFloat16 = 3,
}

/// <summary>
/// A dense tensor that is sent between stages: row-major, little-endian, immutable. Its bytes are never returned to a pool or
/// changed, because a transport may serialise them after the call that produced them has returned.
/// </summary>
public sealed class TensorData
{
    /// <summary>Most dimensions of a tensor.</summary>
    public const int MostDimensions = 8;

    /// <param name="dtype">Element type.</param>
    /// <param name="shape">Sizes, outermost first; every size at least 1.</param>
    /// <param name="bytes">Exactly product(shape) × element size bytes.</param>
    /// <exception cref="FlamingoException">InvalidArgument: the bytes do not fit the shape.</exception>
    public TensorData(TensorDtype dtype, ImmutableArray<int> shape, ReadOnlyMemory<byte> bytes)
    {
        var size = dtype switch
        {
            TensorDtype.Float32 => 4,
            TensorDtype.Float16 or TensorDtype.BFloat16 => 2,
            _ =>
                throw FlamingoException.Invalid(
                    "tensor.dtype", $"{(int)dtype} is not a supported dtype.", "Send FLOAT32, FLOAT16 or BFLOAT16."),
        };
        if (shape.IsDefault)
            throw FlamingoException.Invalid("tensor.shape", "The shape is missing.", "Send a dense tensor with positive sizes.");
        if (shape.Length > MostDimensions)
            throw FlamingoException.Invalid(
                "tensor.shape", $"{shape.Length} dimensions are more than {MostDimensions}.", "Send a dense tensor with fewer.");
        long elements = 1;
        foreach (var length in shape)
        {
            if (length < 1 || elements > int.MaxValue / length)
                throw FlamingoException.Invalid(
                    "tensor.shape", $"[{string.Join(", ", shape)}] has a size below 1 or holds more than 2^31 elements.",
                    "Send a dense tensor with positive sizes.");
            elements *= length;
        }

        if (elements * size != bytes.Length)
            throw FlamingoException.Invalid(
                "tensor.data",
                $"{bytes.Length} bytes do not fit shape [{string.Join(", ", shape)}] of {dtype}, which takes {elements * size}.",
                "Send exactly the tensor's elements, row-major and little-endian.");
        Dtype = dtype;
        Shape = shape;
        Bytes = bytes;
    }

    public TensorDtype Dtype { get; }

    public ImmutableArray<int> Shape { get; }

    public ReadOnlyMemory<byte> Bytes { get; }

    public static int ElementSize(TensorDtype dtype) => dtype == TensorDtype.Float32 ? 4 : 2;

    /// <summary>Copies values into a new f32 tensor.</summary>
    public static TensorData FromFloats(ReadOnlySpan<float> values, params ReadOnlySpan<int> shape)
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("Tensors are sent in little-endian order, and this machine is big-endian.");
        return new TensorData(TensorDtype.Float32, [.. shape], MemoryMarshal.AsBytes(values).ToArray());
    }

    /// <summary>Whether no element is infinite or not a number.</summary>
    public bool IsFinite() => Dtype switch
    {
        TensorDtype.Float32 => Finite<uint>(0x7f80_0000),
        TensorDtype.Float16 => Finite<ushort>(0x7c00),
        _ => Finite<ushort>(0x7f80),
    };

    /// <summary>The elements widened to f32, as a new array.</summary>
    public float[] ToFloats()
    {
        var bytes = Bytes.Span;
        var values = new float[bytes.Length / ElementSize(Dtype)];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = Dtype switch
            {
                TensorDtype.Float32 => BinaryPrimitives.ReadSingleLittleEndian(bytes[(i * 4)..]),
                TensorDtype.Float16 => (float)BinaryPrimitives.ReadHalfLittleEndian(bytes[(i * 2)..]),
                _ => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(bytes[(i * 2)..]) << 16),
            };
        }

        return values;
    }

    // An element is infinite or not a number if all bits of its exponent are set. On a big-endian machine the mask is swapped instead of
    // every element.
    private bool Finite<T>(T exponent)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!BitConverter.IsLittleEndian) exponent = T.ReadLittleEndian(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in exponent)), true);
        foreach (var element in MemoryMarshal.Cast<byte, T>(Bytes.Span))
            if ((element & exponent) == exponent) return false;
        return true;
    }
}
