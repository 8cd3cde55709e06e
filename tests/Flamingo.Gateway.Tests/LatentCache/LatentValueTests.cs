using System.Buffers;
using Flamingo.Abstractions;
using Flamingo.Gateway.LatentCache;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tests.LatentCache;

public sealed class LatentValueTests
{
    private static readonly LatentEntry Entry = new(ChecksummedLatents.Of(TensorData.FromFloats([1, 2, 3, 4, 5, 6], 2, 3)), TimeSpan.FromMilliseconds(3.5));

    [Fact]
    public void Reads_back_what_was_written_in_place()
    {
        var value = LatentValue.Write("key", Entry);
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
        var value = LatentValue.Write("key", Entry).ToArray();
        for (var length = 0; length < value.Length; length++) Assert.Null(Read("key", value[..length]));
        Assert.Null(Read("key", new byte[value.Length]));
        Assert.Null(Read("key", [.. value, 0]));
    }

    [Fact]
    public void A_flipped_bit_is_a_miss_wherever_it_is()
    {
        var value = LatentValue.Write("key", Entry).ToArray();
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
        var value = LatentValue.Write("key", Entry).ToArray();
        Assert.NotNull(Read("key", value));
        Assert.Null(Read("another", value));
        Assert.Null(LatentValue.Read("key", value, (_, shape) => shape[0] == 3));
        Assert.Null(LatentValue.Read("key", value, (dtype, _) => dtype == TensorDtype.BFloat16));
    }

    [Fact]
    public void A_reader_takes_any_pieces_and_allocates_no_more_than_fits()
    {
        var value = LatentValue.Write("key", Entry).ToArray();
        foreach (var piece in new[] { 1, 5, 95, 96, 97, value.Length })
        {
            var reader = new LatentValueReader("key", (_, _) => true);
            foreach (var part in value.Chunk(piece)) reader.Write(part);
            Assert.Equal([1, 2, 3, 4, 5, 6], reader.Entry()!.Latents.Tensor.ToFloats());
            reader.Write(new byte[1]);
            Assert.Null(reader.Entry());
        }

        var huge = LatentValue.Write("key", Entry).ToArray();
        var refused = new LatentValueReader("key", (_, _) => false);
        refused.Write(huge);
        refused.Write(new byte[1 << 20]);
        Assert.Null(refused.Entry());
        Assert.Equal(huge.Length + (1 << 20), refused.Written);
        Assert.True(refused.GetMemory().Length <= 4096);
    }

    // both ways there are, which must agree
    private static LatentEntry? Read(string key, byte[] value)
    {
        var reader = new LatentValueReader(key, (_, _) => true);
        reader.Write(value);
        var read = LatentValue.Read(key, value, (_, _) => true);
        Assert.Equal(read is null, reader.Entry() is null);
        return read;
    }
}
