using Flamingo.Modeling.Layers;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Tests.Weights;

public sealed class WeightMatrixTests : IDisposable
{
    private readonly InferenceThread _three = new(3); // three threads, so that shares are not multiples of a vector

    public void Dispose() => _three.Dispose();

    [Theory(Timeout = 120_000)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public Task A_weight_is_off_by_half_a_step_of_its_channel_at_most(ScalarType file) => _three.RunAsync(() =>
    {
        // channels of very different magnitudes, one of them all zeros
        var weight = (
            Random(37, 3000, seed: 1) * tensor(
                Enumerable.Range(0, 37).Select(row => row == 5 ? 0 : MathF.Pow(2, row - 20)).ToArray()).unsqueeze(1)).to(file);
        using var matrix = WeightMatrix.Quantize(weight, CPU);
        var (wide, expanded) = (weight.to(ScalarType.Float32), matrix.Expand());
        var step = wide.abs().amax([1]) / 127;
        var worst = (expanded - wide).abs().amax([1]);
        Assert.True((worst <= step * 0.50001).all().item<bool>());
        Assert.True((worst >= step * 0.4)[0].item<bool>(), "one of 3000 weights is near the middle of a step");
        Assert.Equal(0, expanded[5].abs().max().item<float>());
        Assert.Equal(37 * 3000 + 37 * sizeof(float), matrix.Bytes);
        // rounding is unbiased, so errors cancel out
        Assert.InRange(((expanded - wide) / step.clamp_min(1e-30).unsqueeze(1)).mean().item<float>(), -0.01, 0.01);
        return true;
    }, TestContext.Current.CancellationToken);

    [Theory(Timeout = 120_000)]
    [InlineData(ScalarType.Float32, 1e-5)]
    [InlineData(ScalarType.BFloat16, 1.0 / 128)]
    public Task A_product_is_that_of_what_the_matrix_stands_for(ScalarType dtype, double tolerance) => _three.RunAsync(() =>
    {
        // where it is expanded, there are three tiles, of which the last is smaller
        using var matrix = WeightMatrix.Quantize(Random(1500, 2000, seed: 2), CPU, _three.Team);
        // few rows, which bfloat16 computes with CpuProduct or torch, and many rows
        foreach (var (some, steady) in new[] { (3, false), (3, true), (50, false) })
        {
            var (x, bias) = (Random(2 * some, 2000, seed: 3).to(dtype).view(2, some, 2000), Random(1, 1500, seed: 4)[0].to(dtype));
            var expected = nn.functional.linear(x.to(ScalarType.Float32), matrix.Expand(), bias.to(ScalarType.Float32));
            var actual = matrix.Multiply(x, bias, steady);
            Assert.Equal((dtype, some, 1500L), (actual.dtype, actual.shape[1], actual.shape[2]));
            Assert.InRange((actual.to(ScalarType.Float32) - expected).norm().item<float>() / expected.norm().item<float>(), 0, tolerance);
        }

        return true;
    }, TestContext.Current.CancellationToken);

    /// <summary>
    /// CpuProduct computes few rows in bfloat16, torch computes many rows and all steady products. All give the same product.
    /// </summary>
    [Theory(Timeout = 120_000)]
    [InlineData(2048), InlineData(1000)]
    public Task Native_bf16_weights_give_the_same_product_for_few_rows_and_many(long inputs) => _three.RunAsync(() =>
    {
        var weights = Random(300, inputs, seed: 2).to(ScalarType.BFloat16);
        using var matrix = new WeightMatrix(weights, _three.Team);
        foreach (var (rows, steady) in new[] { (1, false), (4, false), (4, true), (5, false), (40, false) })
        {
            var (x, bias) = (Random(rows, inputs, seed: 3).to(ScalarType.BFloat16), Random(1, 300, seed: 4)[0].to(ScalarType.BFloat16));
            var expected = nn.functional.linear(x.to(ScalarType.Float32), weights.to(ScalarType.Float32), bias.to(ScalarType.Float32));
            var actual = matrix.Multiply(x, bias, steady);
            Assert.Equal(ScalarType.BFloat16, actual.dtype);
            Assert.InRange((actual.to(ScalarType.Float32) - expected).norm().item<float>() / expected.norm().item<float>(), 0, 1.0 / 256);
        }

        return true;
    }, TestContext.Current.CancellationToken);

    /// <summary>Sizes of one tile, of several tiles with a remainder, and of matrices smaller than a vector.</summary>
    [Theory(Timeout = 240_000)]
    [InlineData(64, 64)]
    [InlineData(400, 96)]
    [InlineData(75, 40)]
    [InlineData(2752, 1000)]
    [InlineData(1600, 2048)]
    [InlineData(100, 8192)]
    public Task A_row_is_the_same_bits_in_every_batch(long outputs, long inputs) => _three.RunAsync(() =>
    {
        using var linear =
            new Linear(WeightMatrix.Quantize(Random(outputs, inputs, seed: 5), CPU, _three.Team), Random(1, outputs, seed: 6)[0]);
        var rows = Random(100, inputs, seed: 7);
        var batch = linear.ForwardTiled(rows);
        foreach (var count in new[] { 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 28, 44, 61, 92 })
        {
            var some = rows.slice(0, 100 - count, 100, 1);
            Assert.True(Same(batch.slice(0, 100 - count, 100, 1), linear.ForwardTiled(some)), $"{count} rows");
            Assert.True(Same(batch.slice(0, 100 - count, 100, 1), linear.Forward(some)), $"{count} rows with Forward");
        }

        Assert.True(Same(batch, linear.ForwardTiled(rows)));
        return true;
    }, TestContext.Current.CancellationToken);

    private static bool Same(Tensor one, Tensor other) => one.contiguous().bytes.SequenceEqual(other.contiguous().bytes);

    private static Tensor Random(long rows, long columns, int seed)
    {
        var random = new Random(seed);
        return tensor(
            Enumerable.Range(0, (int)(rows * columns)).Select(_ => (float)(random.NextDouble() - 0.5)).ToArray()).view(rows, columns);
    }
}
