using Flamingo.Gateway.LatentCache;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tests.LatentCache;

public sealed class LatentValueTests
{
    private static readonly LatentEntry Latents = new(ChecksummedLatents.Of(TensorData.FromFloats([1, 2, 3, 4, 5, 6], 2, 3)), TimeSpan.Zero);

    [Fact]
    public void Reads_back_what_was_written()
    {
        var read = LatentValue.Read(LatentValue.Write(Latents))!.Latents;
        Assert.Equal(TensorDtype.Float32, read.Tensor.Dtype);
        Assert.Equal([2, 3], read.Tensor.Shape);
        Assert.Equal([1, 2, 3, 4, 5, 6], read.Tensor.ToFloats());
        Assert.True(read.IsIntact());
    }

    [Fact]
    public void Every_truncation_is_a_miss()
    {
        var value = LatentValue.Write(Latents);
        for (var length = 0; length < value.Length; length++) Assert.Null(LatentValue.Read(value.AsMemory(0, length)));
        Assert.Null(LatentValue.Read(new byte[value.Length]));
        Assert.Null(LatentValue.Read((byte[])[.. value, 0]));
    }

    [Fact]
    public void A_flipped_bit_is_a_miss_wherever_it_matters()
    {
        var value = LatentValue.Write(Latents);
        for (var bit = 0; bit < 8 * value.Length; bit++)
        {
            if (bit / 8 is 7 or (>= 8 and < 12)) continue; // a reserved byte that nobody reads, and the cost
            value[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(LatentValue.Read(value) is null, $"bit {bit} was accepted");
            value[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }
}
