using System.Collections.Immutable;
using System.Security.Cryptography;
using Flamingo.Abstractions;

namespace Flamingo.Stages.Tests;

public sealed class ChecksummedLatentsTests
{
    private static readonly TensorData Tensor = TensorData.FromFloats([1, 2, 3, 4, 5, 6], 2, 3);

    [Fact]
    public void The_checksum_is_the_hash_of_the_bytes()
    {
        var latents = ChecksummedLatents.Of(Tensor);
        Assert.Equal(SHA256.HashData(Tensor.Bytes.Span), latents.Checksum.ToArray());
        Assert.True(latents.IsIntact());
    }

    [Fact]
    public void Any_flipped_bit_of_the_bytes_shows()
    {
        var checksum = ChecksummedLatents.Of(Tensor).Checksum;
        for (var bit = 0; bit < Tensor.Bytes.Length * 8; bit++)
        {
            var bytes = Tensor.Bytes.ToArray();
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(new ChecksummedLatents(new TensorData(Tensor.Dtype, Tensor.Shape, bytes), checksum).IsIntact());
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(33)]
    public void A_checksum_of_another_length_is_none(int length)
    {
        var checksum = new byte[length];
        ChecksummedLatents.Of(Tensor).Checksum.Span[..Math.Min(length, 32)].CopyTo(checksum);
        Assert.False(new ChecksummedLatents(Tensor, checksum).IsIntact());
    }
}
