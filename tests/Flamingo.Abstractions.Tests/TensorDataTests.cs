using System.Collections.Immutable;
using CsCheck;

namespace Flamingo.Abstractions.Tests;

public sealed class TensorDataTests
{
    [Theory]
    [InlineData(TensorDtype.Float32, 24)]
    [InlineData(TensorDtype.Float16, 12)]
    [InlineData(TensorDtype.BFloat16, 12)]
    public void Bytes_must_fill_the_shape_exactly(TensorDtype dtype, int bytes)
    {
        Assert.Equal(bytes, new TensorData(dtype, [2, 3], new byte[bytes]).Bytes.Length);
        foreach (var wrong in (int[])[0, 1, bytes - 1, bytes + 1, bytes * 2])
            AssertFault("tensor.data", () => new TensorData(dtype, [2, 3], new byte[wrong]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(4, 0)]
    [InlineData(-2, -2)]
    [InlineData(65536, 65536)]
    [InlineData(int.MaxValue, 2)]
    [InlineData(2, int.MaxValue)]
    public void Sizes_below_one_and_products_beyond_an_array_are_refused(params int[] shape) =>
        AssertFault("tensor.shape", () => new TensorData(TensorDtype.Float16, [.. shape], new byte[8]));

    /// <summary>The product 65536 × 65536 × 4 overflows to 0 in 32 bits, which would match an empty array of bytes.</summary>
    [Fact]
    public void A_product_that_wraps_to_zero_does_not_pass_for_an_empty_tensor() =>
        AssertFault("tensor.shape", () => new TensorData(TensorDtype.Float32, [65536, 65536, 4], ReadOnlyMemory<byte>.Empty));

    [Fact]
    public void A_product_that_fits_in_elements_but_not_in_bytes_is_compared_without_wrapping() =>
        AssertFault("tensor.data", () => new TensorData(TensorDtype.Float32, [1 << 30], ReadOnlyMemory<byte>.Empty));

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(-1)]
    public void A_dtype_that_does_not_travel_is_refused(int dtype) =>
        AssertFault("tensor.dtype", () => new TensorData((TensorDtype)dtype, [1], new byte[4]));

    [Fact]
    public void A_shape_that_was_never_set_is_refused() =>
        AssertFault("tensor.shape", () => new TensorData(TensorDtype.Float32, default, new byte[4]));

    [Fact]
    public void No_sizes_mean_one_element() =>
        Assert.Equal([1.5f], new TensorData(TensorDtype.Float32, [], BitConverter.GetBytes(1.5f)).ToFloats());

    [Fact]
    public void Floats_go_there_and_back_bit_for_bit() =>
        Gen.Float.Array[1, 50].Sample(values =>
        {
            var tensor = TensorData.FromFloats(values, values.Length, 1);
            return tensor.Dtype == TensorDtype.Float32 && tensor.Shape.SequenceEqual([values.Length, 1])
                && Bits(tensor.ToFloats()).SequenceEqual(Bits(values));
        });

    [Fact]
    public void Floats_are_copied_and_little_endian()
    {
        float[] values = [1, -2];
        var tensor = TensorData.FromFloats(values, 2);
        values[0] = 9;
        Assert.Equal([0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0], tensor.Bytes.ToArray());
    }

    /// <summary>Checks all 65536 values, including subnormals, infinities and NaN.</summary>
    [Fact]
    public void Every_half_widens_to_its_value()
    {
        var all = Enumerable.Range(0, 65536).Select(bits => (ushort)bits).ToArray();
        var widened = new TensorData(TensorDtype.Float16, [256, 256], LittleEndian(all)).ToFloats();
        Assert.Equal(Bits(all.Select(bits => (float)BitConverter.UInt16BitsToHalf(bits))), Bits(widened));
        Assert.Equal([1f, -2f, 65504f, MathF.Pow(2, -24), float.PositiveInfinity],
            [widened[0x3C00], widened[0xC000], widened[0x7BFF], widened[1], widened[0x7C00]]);
    }

    [Fact]
    public void Every_bfloat_widens_to_the_upper_half_of_a_float()
    {
        var all = Enumerable.Range(0, 65536).Select(bits => (ushort)bits).ToArray();
        var widened = new TensorData(TensorDtype.BFloat16, [65536], LittleEndian(all)).ToFloats();
        Assert.Equal(all.Select(bits => bits << 16), Bits(widened));
        Assert.Equal([1f, -2f, 3.140625f, float.NegativeInfinity], [widened[0x3F80], widened[0xC000], widened[0x4049], widened[0xFF80]]);
    }

    private static byte[] LittleEndian(ushort[] values) => [.. values.SelectMany(value => (byte[])[(byte)value, (byte)(value >> 8)])];

    private static IEnumerable<int> Bits(IEnumerable<float> values) => values.Select(BitConverter.SingleToInt32Bits);

    private static void AssertFault(string field, Func<TensorData> make)
    {
        var exception = Assert.Throws<FlamingoException>(make);
        Assert.Equal(FlamingoErrorKind.InvalidArgument, exception.Kind);
        Assert.Equal(field, Assert.Single(exception.Faults).Field);
    }

    [Fact]
    public void A_tensor_is_finite_unless_an_element_is_infinite_or_not_a_number()
    {
        foreach (var value in new[] { 0f, -0f, 1, -3.5f, float.MaxValue, float.Epsilon })
            Assert.True(TensorData.FromFloats([1, value], 2).IsFinite());
        foreach (var value in new[] { float.NaN, -float.NaN, float.PositiveInfinity, float.NegativeInfinity })
            Assert.False(TensorData.FromFloats([1, value], 2).IsFinite());
        // every value of 16 bits
        for (var bits = 0; bits <= ushort.MaxValue; bits++)
        {
            foreach (var dtype in new[] { TensorDtype.Float16, TensorDtype.BFloat16 })
            {
                var tensor = new TensorData(dtype, [1], BitConverter.GetBytes((ushort)bits));
                Assert.Equal(float.IsFinite(tensor.ToFloats()[0]), tensor.IsFinite());
            }
        }
    }

    [Fact]
    public void A_shape_of_very_many_dimensions_is_refused_with_a_short_message()
    {
        var refusal = Assert.Throws<FlamingoException>(
            () => new TensorData(TensorDtype.Float32, [.. Enumerable.Repeat(1, 300_000)], new byte[4]));
        Assert.InRange(refusal.Message.Length, 1, 200);
    }
}
