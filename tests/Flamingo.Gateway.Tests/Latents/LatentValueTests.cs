using System.Buffers;
using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tests.Latents;

public sealed class LatentValueTests
{
    private static readonly LatentValue Entry =
        new(ChecksummedLatents.Of(TensorData.FromFloats([1, 2, 3, 4, 5, 6], 2, 3)), TimeSpan.FromMilliseconds(3.5));

    [Fact]
    public void Reads_back_what_was_written_in_place()
    {
        var value = Entry.Write("key");
        Assert.True(value.Slice(LatentValue.HeaderBytes).First.Equals(Entry.Latents.Tensor.Bytes)); // no copy of the elements
        var read = Read("key", value.ToArray())!;
        Assert.Equal(TensorDtype.Float32, read.Latents.Tensor.Dtype);
        Assert.Equal([2, 3], read.Latents.Tensor.Shape);
        Assert.Equal([1, 2, 3, 4, 5, 6], read.Latents.Tensor.ToFloats());
        Assert.True(read.Latents.IsIntact());
        Assert.Equal(Entry.Cost, read.Cost);
    }

    [Fact]
    public void Every_truncation_is_a_miss()
    {
        var value = Entry.Write("key").ToArray();
        for (var length = 0; length < value.Length; length++) Assert.Null(Read("key", value[..length]));
        Assert.Null(Read("key", new byte[value.Length]));
        Assert.Null(Read("key", [.. value, 0]));
    }

    [Fact]
    public void A_flipped_bit_is_a_miss_wherever_it_is()
    {
        var value = Entry.Write("key").ToArray();
        for (var bit = 0; bit < 8 * value.Length; bit++)
        {
            value[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(Read("key", value) is null, $"bit {bit} was accepted");
            value[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void Another_keys_value_or_another_shape_is_a_miss_however_intact()
    {
        var value = Entry.Write("key").ToArray();
        Assert.NotNull(Read("key", value));
        Assert.Null(Read("another", value));
        Assert.Null(LatentValue.Read("key", value, (_, shape) => shape[0] == 3));
        Assert.Null(LatentValue.Read("key", value, (dtype, _) => dtype == TensorDtype.BFloat16));
    }

    [Fact]
    public void A_value_reads_its_bytes_in_place_and_one_that_is_refused_keeps_none()
    {
        var value = Entry.Write("key").ToArray();
        var read = Read("key", value)!;
        Assert.True(MemoryMarshal.TryGetArray(read.Latents.Tensor.Bytes, out var elements));
        Assert.Same(value, elements.Array); // the array is not copied
        Assert.Equal(value.Length - LatentValue.HeaderBytes, read.ElementBytes);

        var asked = new List<(TensorDtype, string)>();
        Assert.Null(LatentValue.Read("key", new byte[1 << 20], (_, _) => throw new InvalidOperationException("The header is invalid.")));
        Assert.Null(LatentValue.Read("key", (byte[])[.. value, .. new byte[1 << 20]], (dtype, shape) =>
        {
            asked.Add((dtype, string.Join(',', shape)));
            return true;
        }));
        Assert.Equal([(TensorDtype.Float32, "2,3")], asked); // the header was valid, and the length did not match the shape
    }

    private static LatentValue? Read(string key, byte[] value) => LatentValue.Read(key, value, (_, _) => true);
}
