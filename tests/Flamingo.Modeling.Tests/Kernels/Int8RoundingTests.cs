using Flamingo.Modeling.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Tests.Kernels;

public sealed class Int8RoundingTests
{
    /// <summary>Fewer inputs than a vector, whole vectors, and whole vectors with a remainder; enough rows for several shares.</summary>
    [Theory(Timeout = 120_000)]
    [InlineData(ScalarType.Float32, 5, 7)]
    [InlineData(ScalarType.Float32, 40, 64)]
    [InlineData(ScalarType.BFloat16, 33, 1001)]
    [InlineData(ScalarType.BFloat16, 3000, 800)]
    [InlineData(ScalarType.Float16, 33, 1001)]
    [InlineData(ScalarType.Float16, 24, 1 << 20)]
    public Task It_is_torchs_rounding(ScalarType file, int outputs, int inputs) => Task.Run(() =>
    {
        using var scope = NewDisposeScope();
        var random = new Random(inputs);
        // Some weights are exactly between two steps and are rounded to the even step. One channel is all zeros.
        var weight =
            tensor(Enumerable.Range(0, outputs * inputs).Select(i => i / inputs == 3 ? 0 : random.Next(-254, 255) / 2f * 0.25f).ToArray())
            .view(outputs, inputs)
            .to(file);
        var (values, scales) = (empty([outputs, inputs], ScalarType.Int8), empty([outputs]));
        Int8Rounding.Round(weight, values, scales);

        var wide = weight.to(ScalarType.Float32);
        var expected = wide.abs().amax([1]) / 127;
        Assert.Equal(expected.data<float>().ToArray(), scales.data<float>().ToArray());
        var integers = (wide / where(expected.eq(0), ones_like(expected), expected).unsqueeze(1))
            .round()
            .clamp(-127, 127)
            .to(ScalarType.Int8);
        Assert.True(integers.eq(values).all().item<bool>());
        Assert.Equal(0, values[3].abs().max().item<sbyte>());
        Assert.Equal(127, values.max().item<sbyte>());
    }, TestContext.Current.CancellationToken);

    [Fact]
    public void Other_dtypes_are_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentException>(
            () => Int8Rounding.Round(zeros(2, 3, dtype: ScalarType.Float64), empty([2, 3], ScalarType.Int8), empty([2])));
    }
}
