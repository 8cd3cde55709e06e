using System.Runtime.Intrinsics;
using CsCheck;
using Flamingo.Modeling.Kernels;

namespace Flamingo.Modeling.Tests.Kernels;

public sealed class LanesTests
{
    [Fact]
    public void The_exponential_is_within_two_units_in_the_last_place()
    {
        Gen.Float[-86, 0].Sample(x =>
        {
            var (actual, expected) = (Lanes.Exp(Vector512.Create(x))[5], Math.Exp(x));
            return Math.Abs(actual - expected) <= 2 * expected * Math.Pow(2, -23);
        });
        Assert.Equal(1, Lanes.Exp(Vector512<float>.Zero)[0]);
    }

    [Theory]
    [InlineData(-86.1f, 0)]
    [InlineData(-1e9f, 0)]
    [InlineData(float.MinValue, 0)]
    [InlineData(float.NegativeInfinity, 0)]
    [InlineData(float.NaN, float.NaN)]
    public void Far_below_it_is_zero_and_nan_stays(float x, float expected) => Assert.Equal(expected, Lanes.Exp(Vector512.Create(x))[15]);

    // The order of additions is the same on every CPU: the upper half is added to the lower half, repeatedly.
    [Fact]
    public void A_sum_has_one_order() => Gen.Float[-1e3f, 1e3f].Array[16].Sample(lanes =>
    {
        var folded = lanes.ToArray();
        for (var half = 8; half > 0; half /= 2)
        {
            for (var lane = 0; lane < half; lane++) folded[lane] += folded[lane + half];
        }

        return Lanes.Sum(Vector512.Create<float>(lanes)) == folded[0];
    });

    [Theory]
    [InlineData(0x3f800000u, 0x3f80)] // 1
    [InlineData(0x3f808000u, 0x3f80)] // a tie goes to even
    [InlineData(0x3f818000u, 0x3f82)]
    [InlineData(0x3f808001u, 0x3f81)]
    [InlineData(0x7f7fffffu, 0x7f80)] // rounds to infinity
    [InlineData(0x80000000u, 0x8000)]
    [InlineData(0x7f800001u, 0x7fc0)] // a NaN whose upper bits would mean infinity
    [InlineData(0xffffffffu, 0xffff)]
    public void Bf16_rounds_to_nearest_even(uint bits, int expected) =>
        Assert.Equal(expected, Lanes.ToBFloat16(BitConverter.UInt32BitsToSingle(bits)));

    [Fact]
    public void The_error_function_is_within_four_ten_millionths()
    {
        Gen.Float[-4, 4].Sample(x => Math.Abs(Lanes.Erf(Vector512.Create(x))[3] - Series(x)) <= 4e-7);
        Assert.Equal(1, Lanes.Erf(Vector512.Create(float.PositiveInfinity))[0]);
        Assert.Equal(-1, Lanes.Erf(Vector512.Create(float.MinValue))[0]);
        Assert.True(float.IsNaN(Lanes.Erf(Vector512.Create(float.NaN))[0]));

        // erf x = 2 / √π × Σ (−1)ⁿ x^(2n + 1) / (n! (2n + 1))
        static double Series(double x)
        {
            var (sum, term) = (0.0, x);
            for (var n = 0; n < 200; n++)
            {
                sum += term / ((2 * n) + 1);
                term *= -x * x / (n + 1);
            }

            return sum * 2 / Math.Sqrt(Math.PI);
        }
    }

    [Fact]
    public void Rounded_lanes_are_rounded_numbers() => Gen.UInt.Sample(bits =>
    {
        var x = BitConverter.UInt32BitsToSingle(bits);
        var (lane, one) = (Lanes.RoundToBFloat16(Vector512.Create(x))[7], Lanes.RoundToBFloat16(x));
        return float.IsNaN(x) ? float.IsNaN(lane) && float.IsNaN(one) : lane.Equals(one) && Lanes.ToBFloat16(one) == Lanes.ToBFloat16(x);
    });
}
