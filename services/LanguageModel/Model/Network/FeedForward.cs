using Flamingo.Checkpoints;
using Flamingo.Modeling;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network;

/// <summary>Widening, activation, narrowing: exact GELU, or SwiGLU (Shazeer 2020), where a second widening is the gate.</summary>
internal sealed class FeedForward : IDisposable
{
    private readonly Linear? _gate;
    private readonly Linear _up, _down;

    /// <param name="kind">gelu or swiglu.</param>
    public FeedForward(string kind, WeightsReader weights, string name, int width, int hidden)
    {
        if (kind is not ("gelu" or "swiglu")) throw new CheckpointException($"flamingo.json: a feed_forward is '{kind}'; this build computes gelu or swiglu.");
        if (kind == "swiglu") _gate = new Linear(weights, $"{name}.gate", width, hidden);
        _up = new Linear(weights, $"{name}.up", width, hidden);
        _down = new Linear(weights, $"{name}.down", hidden, width);
    }

    public Tensor Forward(Tensor x)                                                  // [rows, width]
    {
        var hidden = _up.Forward(x);                                                 // [rows, hidden]
        return _down.Forward(_gate is null ? F.gelu(hidden) : F.silu(_gate.Forward(x)) * hidden);
    }

    public void Dispose()
    {
        _gate?.Dispose();
        _up.Dispose();
        _down.Dispose();
    }
}
