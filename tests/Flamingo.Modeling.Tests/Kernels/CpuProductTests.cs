using System.Runtime.Intrinsics;
using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Tests.Kernels;

/// <summary>Products with int8 and bf16 weights at every vector width of CPUs, whatever the width of this CPU.</summary>
public sealed class CpuProductTests : IDisposable
{
    private static readonly int[] Widths = [512, 256, 128];

    /// <summary>
    /// Sizes below, equal to and above those of a vector, a group of channels and a piece of inputs, not always multiples of
    /// them.
    /// </summary>
    private static readonly (int Outputs, int Inputs)[] Shapes =
        [(1, 1), (3, 5), (4, 16), (7, 31), (64, 512), (37, 1000), (70, 513), (130, 2051), (33, 4096)];

    private readonly InferenceThread _three = new(3); // three threads, so that shares are uneven

    public static TheoryData<int, ScalarType> Cases =>
        [.. Widths.SelectMany(width => new[] { ScalarType.Float32, ScalarType.BFloat16 }.Select(dtype => (width, dtype)))];

    public void Dispose() => _three.Dispose();

    [Theory(Timeout = 240_000), MemberData(nameof(Cases))]
    public Task Sums_are_those_of_f64(int width, ScalarType dtype) => _three.RunAsync(() =>
    {
        foreach (var (outputs, inputs) in Shapes)
        {
            var (values, scales) = Weights(outputs, inputs);
            foreach (var (rows, biased) in new[] { (1, true), (2, false), (3, true), (5, false), (9, true), (130, true) })
            {
                var (x, bias) = (Normal(rows, inputs, seed: rows).to(dtype), biased ? Normal(1, outputs, seed: 9)[0].to(dtype) : null);
                var actual = Multiply(width, values, scales, x, bias, _three.Team);
                Assert.Equal((dtype, rows, outputs), (actual.dtype, (int)actual.shape[0], (int)actual.shape[1]));
                var (wideX, wideW) = (x.to(ScalarType.Float64), values.to(ScalarType.Float64) * scales.unsqueeze(1));
                var expected = wideX.matmul(wideW.t());
                if (bias is not null) expected += bias.to(ScalarType.Float64);
                // allows for the rounding of the sums, relative to the summed magnitudes, and for that of the result
                var allowed = wideX.abs()
                    .matmul(wideW.abs().t()) * 1e-6 + expected.abs() * (dtype == ScalarType.Float32 ? 2e-7 : 1.0 / 255);
                Assert.True(
                    ((actual.to(ScalarType.Float64) - expected).abs() <= allowed + 1e-30).all().item<bool>(),
                    $"{rows} rows, {outputs} × {inputs}");
            }
        }
        return true;
    }, TestContext.Current.CancellationToken);

    [Theory(Timeout = 240_000), MemberData(nameof(Cases))]
    public Task A_row_is_the_same_bits_in_every_batch_and_on_every_thread(int width, ScalarType dtype) =>
        _three.RunAsync(() =>
    {
        foreach (var (outputs, inputs) in new[] { (70, 513), (37, 1000), (129, 1024) })
        {
            var ((values, scales), bias) = (Weights(outputs, inputs), Normal(1, outputs, seed: 1)[0].to(dtype));
            var x = Normal(300, inputs, seed: 2).to(dtype);
            var batch = Multiply(width, values, scales, x, bias, _three.Team);
            for (var row = 0; row < 300; row += 13)
                Assert.True(
                    Same(batch[row], Multiply(width, values, scales, x.slice(0, row, row + 1, 1), bias, ComputeTeam.Alone)[0]),
                    $"row {row} alone");
            foreach (var count in Enumerable.Range(1, 40).Append(64).Append(131))
            {
                using var scope = NewDisposeScope();
                var first = 300 - count;
                var some =
                    Multiply(width, values, scales, x.slice(0, first, 300, 1), bias, count % 2 == 0 ? _three.Team : ComputeTeam.Alone);
                Assert.True(Same(batch.slice(0, first, 300, 1), some), $"{count} rows, {outputs} × {inputs}");
            }

            Assert.False(Same(batch[0], batch[1]));
        }
        return true;
    }, TestContext.Current.CancellationToken);

    [Theory(Timeout = 120_000), MemberData(nameof(Cases))]
    public Task Views_are_read_without_a_copy(int width, ScalarType dtype) => _three.RunAsync(() =>
    {
        var (values, scales) = Weights(20, 64);
        var joined = Normal(6, 192, seed: 3).to(dtype);
        var view = joined.slice(1, 64, 128, 1);                                     // a chunk of a joined projection
        var expected = Multiply(width, values, scales, view.contiguous(), null, _three.Team);
        Assert.True(Same(expected, Multiply(width, values, scales, view, null, _three.Team)));
        Assert.True(Same(expected, Multiply(width, values, scales, view.t().contiguous().t(), null, _three.Team)));
        return true;
    }, TestContext.Current.CancellationToken);

    [Theory(Timeout = 120_000), MemberData(nameof(Cases))]
    public Task A_channel_of_zeros_is_its_bias_and_an_infinite_row_stays_by_itself(int width, ScalarType dtype) => _three.RunAsync(() =>
    {
        var (values, scales) = Weights(9, 100);
        values[4].zero_();
        var (x, bias) = (Normal(5, 100, seed: 4).to(dtype), Normal(1, 9, seed: 5)[0].to(dtype));
        var clean = Multiply(width, values, scales, x, bias, _three.Team);
        Assert.All(Enumerable.Range(0, 5), row => Assert.True(Same(bias[4], clean[row][4])));
        x[2].fill_(float.PositiveInfinity);
        var after = Multiply(width, values, scales, x, bias, _three.Team);
        Assert.False(after[2].isfinite().any().item<bool>());
        foreach (var row in new[] { 0, 1, 3, 4 }) Assert.True(Same(clean[row], after[row]));
        return true;
    }, TestContext.Current.CancellationToken);

    /// <summary>
    /// f32 represents a bf16 weight exactly: the sums agree with f64, and a row is bit for bit the same whatever the other rows
    /// are.
    /// </summary>
    [Theory(Timeout = 240_000), MemberData(nameof(Cases))]
    public Task Weights_may_be_bf16(int width, ScalarType dtype) => _three.RunAsync(() =>
    {
        foreach (var (outputs, inputs) in new[] { (1, 16), (7, 48), (70, 528), (130, 2064) })
        {
            var weights = Normal(outputs, inputs, seed: outputs).to(ScalarType.BFloat16);
            var (x, bias) = (Normal(40, inputs, seed: 2).to(dtype), Normal(1, outputs, seed: 9)[0].to(dtype));
            var actual = Multiply(width, weights, null, x, bias, _three.Team);
            var (wideX, wideW) = (x.to(ScalarType.Float64), weights.to(ScalarType.Float64));
            var expected = wideX.matmul(wideW.t()) + bias.to(ScalarType.Float64);
            var allowed = wideX.abs().matmul(wideW.abs().t()) * 1e-6 + expected.abs() * (dtype == ScalarType.Float32 ? 2e-7 : 1.0 / 255);
            Assert.True(((actual.to(ScalarType.Float64) - expected).abs() <= allowed + 1e-30).all().item<bool>(), $"{outputs} × {inputs}");
            foreach (var count in new[] { 1, 2, 3, 4, 5, 17 })
                Assert.True(
                    Same(actual.slice(0, 0, count, 1), Multiply(width, weights, null, x.slice(0, 0, count, 1), bias, ComputeTeam.Alone)),
                    $"{count} rows");
        }

        return true;
    }, TestContext.Current.CancellationToken);

    [Fact(Timeout = 60_000)]
    public Task No_rows_give_none_and_what_does_not_fit_is_refused() => _three.RunAsync(() =>
    {
        var (values, scales) = Weights(9, 100);
        Assert.Equal([0, 9], CpuProduct.Multiply(values, scales, empty(0, 100), null, _three.Team).shape);
        foreach (var x in new[] { zeros(1, 100, dtype: ScalarType.Float16), zeros(1, 99), zeros(1, 1, 100) })
            Assert.Throws<ArgumentException>(() => CpuProduct.Multiply(values, scales, x, null, _three.Team));
        foreach (var wrong in new[] { zeros(9, 100), zeros(9, 100, dtype: ScalarType.BFloat16) })
            Assert.Throws<ArgumentException>(() => CpuProduct.Multiply(wrong, null, zeros(1, 100), null, _three.Team));
        foreach (var bias in new[] { zeros(9, dtype: ScalarType.BFloat16), zeros(8), zeros(1, 9) })
            Assert.Throws<ArgumentException>(() => CpuProduct.Multiply(values, scales, zeros(1, 100), bias, _three.Team));
        return true;
    }, TestContext.Current.CancellationToken);

    [Fact(Timeout = 60_000)]
    public Task Nothing_is_left_behind() => _three.RunAsync(() =>
    {
        using var scope = NewDisposeScope();
        var (values, scales) = Weights(9, 101);
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            var x = zeros(3, 101, dtype: dtype);
            var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            CpuProduct.Multiply(values, scales, x, null, _three.Team).Dispose();
            Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        }
        return true;
    }, TestContext.Current.CancellationToken);

    private static Tensor Multiply(int width, Tensor values, Tensor? scales, Tensor x, Tensor? bias, ComputeTeam team) => width switch
    {
        512 => CpuProduct.Multiply<Vector512<float>, Width512>(values, scales, x, bias, team),
        256 => CpuProduct.Multiply<Vector256<float>, Width256>(values, scales, x, bias, team),
        _ => CpuProduct.Multiply<Vector128<float>, Width128>(values, scales, x, bias, team),
    };

    private static (Tensor Values, Tensor Scales) Weights(int outputs, int inputs)
    {
        var random = new Random(outputs + inputs);
        // the bytes after the weights must not affect the result
        var integers = Enumerable.Range(0, outputs * inputs + CpuProduct.Slack).Select(_ => (sbyte)random.Next(-127, 128)).ToArray();
        return (
            tensor(integers).as_strided([outputs, inputs], [inputs, 1]),
            tensor(Enumerable.Range(0, outputs).Select(_ => (float)random.NextDouble() + 0.1f).ToArray()));
    }

    private static bool Same(Tensor one, Tensor other) => one.contiguous().bytes.SequenceEqual(other.contiguous().bytes);

    private static Tensor Normal(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        return tensor(
            Enumerable.Range(0, rows * columns)
                .Select(_ => (float)(random.NextDouble() + random.NextDouble() - 1))
                .ToArray()).view(rows, columns);
    }
}
