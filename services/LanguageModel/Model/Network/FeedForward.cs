using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.FewRows;
using Flamingo.Modeling.Layers;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// Feed-forward network: up projection, activation, down projection. The activation is exact GELU or SwiGLU (Shazeer 2020), which
/// has a second up projection as the gate.
/// </summary>
public sealed class FeedForward : IDisposable
{
    // torch uses one thread for fewer elements than this
    private const int OneThread = 32_768;

    // Two of the widest vectors. For the elements after the last such pair of a thread's share, torch uses another approximation
    // of erf and exp.
    private const int VectorPair = 32;

    private readonly Linear? _gate;
    private readonly Linear _up, _down;

    /// <param name="kind">gelu or swiglu.</param>
    public FeedForward(string kind, WeightsReader weights, string name, int width, int hidden)
    {
        if (kind is not ("gelu" or "swiglu"))
            throw new CheckpointException($"flamingo.json: a feed_forward is '{kind}'; this build computes gelu or swiglu.");
        if (kind == "swiglu") _gate = new Linear(weights, $"{name}.gate", width, hidden);
        _up = new Linear(weights, $"{name}.up", width, hidden);
        _down = new Linear(weights, $"{name}.down", hidden, width);
    }

    public Tensor Forward(Tensor x)                                                  // [rows, width]
    {
        var hidden = _up.Forward(x);                                                 // [rows, hidden]
        if (_gate is null) return _down.Forward(Activate(hidden, some => F.gelu(some, inplace: true)));
        return _down.Forward(Activate(_gate.Forward(x), some => F.silu(some, inplace: true)).mul_(hidden));
    }

    /// <summary>All matrices, for products outside torch.</summary>
    internal IEnumerable<Linear> Linears => new[] { _gate, _up, _down }.OfType<Linear>();

    /// <summary>Adds the same computation for few rows, with its norm before and the residual behind it.</summary>
    /// <param name="input">What is normalised.</param>
    /// <param name="from">The residual stream before.</param>
    /// <param name="to">The residual stream after.</param>
    /// <param name="gate">[1] or [width]; null for none.</param>
    internal void AddTo(FewRowPlan plan, Norm norm, FloatRows input, FloatRows from, FloatRows to, FloatRows? gate = null)
    {
        var state = plan.State;
        plan.Add(_gate is null
            ? new GeluPhase(state, norm.ForRows(), input, _up)
            : new SwiGluPhase(state, norm.ForRows(), input, _up, _gate));
        plan.Add(new ResidualPhase(state, state.Hidden, _down, from, to, gate));
    }

    // Works in place. On the CPU it takes few enough rows at a time that a row's result does not depend on the other rows.
    private static Tensor Activate(Tensor x, Func<Tensor, Tensor> function)
    {
        if (x.device_type != TorchSharp.DeviceType.CPU)
        {
            function(x).Dispose();
            return x;
        }

        var (rows, width) = (x.shape[0], x.shape[1]);
        var step = width % VectorPair == 0 ? Math.Max(1, (OneThread - 1) / width) : 1;
        for (var row = 0L; row < rows; row += step) function(x.slice(0, row, Math.Min(rows, row + step), 1)).Dispose();
        return x;
    }

    public void Dispose()
    {
        _gate?.Dispose();
        _up.Dispose();
        _down.Dispose();
    }
}
