using System.Runtime.Intrinsics;
using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Layers;

namespace Flamingo.LanguageModel.Network.FewRows;

/// <summary>
/// A product y = round(x Wᵀ + b) for some outputs at a time, and what is computed with each output by itself: activation, gate, residual.
/// </summary>
/// <param name="norm">The norm of the input; null for none. Each thread computes it, which takes less time than waiting for one.</param>
/// <param name="input">[rows, inputs]</param>
/// <param name="target">[rows, outputs]</param>
internal unsafe class ProductPhase(
    FewRowState state, RowNorm? norm, FloatRows input, MatrixMemory matrix, FloatRows? bias, FloatRows target) : Phase<FewRowWorker>
{
    // Bytes of weights that a thread takes at a time. A smaller number shares the work more evenly, and a larger one is read faster.
    private const int ShareBytes = 1 << 16;

    private readonly int _share =
        Math.Clamp(ShareBytes / matrix.RowBytes / Lanes.Count * Lanes.Count, Lanes.Count / 4, FewRowWorker.MostOutputs);

    public ProductPhase(FewRowState state, RowNorm? norm, FloatRows input, Linear linear, FloatRows target)
        : this(state, norm, input, linear.Memory()!.Value, FloatRows.Of(linear.Bias), target)
    {
    }

    public override int Items => (matrix.Outputs + _share - 1) / _share;

    /// <summary>Number of parameters of all matrices of the phase.</summary>
    public virtual long Parameters => (long)matrix.Outputs * matrix.Inputs;

    protected FewRowState State => state;

    protected FloatRows Target => target;

    /// <summary>Number of rows that the product computes.</summary>
    protected virtual int Rows => state.Rows;

    public override void Prepare(FewRowWorker worker)
    {
        if (norm is null) return;
        for (var row = 0; row < Rows; row++) norm.Apply(input.Row(Source(row)), worker.Normed.Row(row));
    }

    public override void Compute(int item, FewRowWorker worker)
    {
        var (first, count) = Share(item);
        Multiply(matrix, bias, first, count, worker, worker.Results);
        for (var row = 0; row < Rows; row++) Finish(row, first, count, worker.Results.Row(row), worker);
    }

    public override void Write(int item, FewRowWorker worker)
    {
        var (first, count) = Share(item);
        for (var row = 0; row < Rows; row++)
            new ReadOnlySpan<float>(worker.Results.Row(row), count).CopyTo(new Span<float>(target.Row(row) + first, count));
    }

    /// <summary>The row of the input from which a row of the product is computed.</summary>
    protected virtual int Source(int row) => row;

    /// <summary>Computes the final results from those of the product, in place.</summary>
    /// <param name="results">bf16 numbers, [count]; up to the next whole vector it may be overwritten.</param>
    protected virtual void Finish(int row, int first, int count, float* results, FewRowWorker worker)
    {
    }

    /// <summary>Computes round(x Wᵀ + b) for some outputs.</summary>
    protected void Multiply(MatrixMemory weights, FloatRows? added, int first, int count, FewRowWorker worker, FloatRows results)
    {
        var rows = norm is null ? input : worker.Normed;
        weights.Multiply(rows.Start, rows.Stride, Rows, first, count, results.Start, results.Stride, worker.Scratch.Start);
        for (var row = 0; row < Rows; row++)
        {
            var sums = results.Row(row);
            for (var output = 0; added is not null && output < count; output++) sums[output] += added.Start[first + output];
            for (var output = 0; output < count; output += Lanes.Count)
                Lanes.RoundToBFloat16(Vector512.Load(sums + output)).Store(sums + output);
        }
    }

    protected (int First, int Count) Share(int item) => (item * _share, Math.Min(_share, matrix.Outputs - (item * _share)));
}

/// <summary>The queries of a gated block; nothing where no row attends to a picture.</summary>
internal sealed class PictureQueryPhase(FewRowState state, RowNorm norm, Linear query)
    : ProductPhase(state, norm, state.X, query, state.Joined)
{
    public override int Items => State.PictureTiles.Count == 0 ? 0 : base.Items;
}

/// <summary>The first product of a feed-forward network, and GELU.</summary>
internal sealed unsafe class GeluPhase(FewRowState state, RowNorm norm, FloatRows input, Linear up)
    : ProductPhase(state, norm, input, up, state.Hidden)
{
    protected override void Finish(int row, int first, int count, float* results, FewRowWorker worker)
    {
        for (var at = 0; at < count; at += Lanes.Count)
        {
            var x = Vector512.Load(results + at);
            var share = (Lanes.Erf(x * Vector512.Create(0.70710678f)) + Vector512<float>.One) * Vector512.Create(0.5f);
            Lanes.RoundToBFloat16(x * share).Store(results + at);
        }
    }
}

/// <summary>The two first products of a feed-forward network, and SwiGLU: silu(gate) × up.</summary>
internal sealed unsafe class SwiGluPhase(FewRowState state, RowNorm norm, FloatRows input, Linear up, Linear gate)
    : ProductPhase(state, norm, input, up, state.Hidden)
{
    private readonly MatrixMemory _gate = gate.Memory()!.Value;
    private readonly FloatRows? _gateBias = FloatRows.Of(gate.Bias);

    public override long Parameters => 2 * base.Parameters;

    public override void Compute(int item, FewRowWorker worker)
    {
        var (first, count) = Share(item);
        Multiply(_gate, _gateBias, first, count, worker, worker.Gate);
        base.Compute(item, worker);
    }

    protected override void Finish(int row, int first, int count, float* results, FewRowWorker worker)
    {
        var gates = worker.Gate.Row(row);
        for (var at = 0; at < count; at += Lanes.Count)
        {
            var x = Vector512.Load(gates + at);
            var small = Lanes.Exp(-Vector512.Abs(x));
            // x / (1 + e^−x), written so that the exponent is never positive
            var silu = Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), x * small, x)
                / (Vector512<float>.One + small);
            Lanes.RoundToBFloat16(Lanes.RoundToBFloat16(silu) * Vector512.Load(results + at)).Store(results + at);
        }
    }
}

/// <summary>A product that is added to the residual stream, through a gate where the block has one.</summary>
/// <param name="from">The residual stream before.</param>
/// <param name="to">The residual stream after; it may be <paramref name="from"/>.</param>
/// <param name="gate">[1] or [width]; null for none.</param>
/// <param name="ofPictures">Whether rows that attend to no picture pass unchanged.</param>
internal sealed unsafe class ResidualPhase(
    FewRowState state, FloatRows input, Linear linear, FloatRows from, FloatRows to, FloatRows? gate = null, bool ofPictures = false)
    : ProductPhase(state, null, input, linear, to)
{
    // If no row attends to a picture, one item copies all rows.
    private bool Passes => ofPictures && State.PictureTiles.Count == 0;

    public override int Items => Passes ? 1 : base.Items;

    public override void Compute(int item, FewRowWorker worker)
    {
        if (!Passes) base.Compute(item, worker);
    }

    public override void Write(int item, FewRowWorker worker)
    {
        if (!Passes) base.Write(item, worker);
        else for (var row = 0; row < Rows; row++)
            new ReadOnlySpan<float>(from.Row(row), from.Width).CopyTo(new Span<float>(Target.Row(row), from.Width));
    }

    protected override void Finish(int row, int first, int count, float* results, FewRowWorker worker)
    {
        var before = from.Row(row) + first;
        if (ofPictures && !State.Sees(row))
        {
            new ReadOnlySpan<float>(before, count).CopyTo(new Span<float>(results, count));
            return;
        }

        for (var at = 0; at < count; at++)
        {
            var added = results[at];
            if (gate is not null) added = Lanes.RoundToBFloat16(added * gate.Start[gate.Width == 1 ? 0 : first + at]);
            results[at] = Lanes.RoundToBFloat16(before[at] + added);
        }
    }
}

/// <summary>The output projection of the rows whose logits are wanted.</summary>
internal sealed class LogitPhase(FewRowState state, RowNorm norm, MatrixMemory output)
    : ProductPhase(state, norm, state.X, output, null, state.Logits)
{
    public override int Items => Rows == 0 ? 0 : base.Items;

    protected override int Rows => State.LogitRows.Length;

    protected override int Source(int row) => State.LogitRows[row];
}
