using Flamingo.Modeling.Tensors;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Loop;

/// <summary>
/// AdamW (Loshchilov and Hutter 2019) as torch computes it. TorchSharp's own optimizer passes scalars to torch that may be finalised too
/// early (see <see cref="Scalars"/>), so it is not used.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly AdamWOptions _options;
    private readonly IReadOnlyDictionary<string, TorchSharp.Modules.Parameter> _parameters;
    private readonly SortedDictionary<string, (Tensor First, Tensor Second)> _moments = new(StringComparer.Ordinal);

    /// <param name="parameters">f32 tensors by name.</param>
    public AdamW(IReadOnlyDictionary<string, TorchSharp.Modules.Parameter> parameters, AdamWOptions options)
    {
        (_parameters, _options) = (parameters, options);
        foreach (var (name, parameter) in parameters)
            _moments[name] = (zeros_like(parameter, requires_grad: false).DetachFromDisposeScope(),
                zeros_like(parameter, requires_grad: false).DetachFromDisposeScope());
    }

    /// <summary>Number of steps that were taken.</summary>
    public long Steps { get; set; }

    /// <summary>Means of gradients and of their squares, by the name of the parameter.</summary>
    public IReadOnlyDictionary<string, (Tensor First, Tensor Second)> Moments => _moments;

    /// <summary>Moves every parameter that has a gradient, and forgets the gradients.</summary>
    /// <param name="rate">Learning rate of this step.</param>
    public void Step(double rate)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        Steps++;
        var (one, two) = (1 - Math.Pow(_options.Beta1, Steps), 1 - Math.Pow(_options.Beta2, Steps));
        foreach (var (name, parameter) in _parameters)
        {
            if (parameter.grad is not { } gradient) continue;
            var (first, second) = _moments[name];
            // The paper and OpenFlamingo decay the gated blocks alone.
            if (BridgeWeights.IsGated(name)) parameter.mul_(Scalars.Of(1 - (rate * _options.WeightDecay)));
            first.mul_(Scalars.Of(_options.Beta1)).add_(gradient, Scalars.Of(1 - _options.Beta1));
            second.mul_(Scalars.Of(_options.Beta2)).addcmul_(gradient, gradient, Scalars.Of(1 - _options.Beta2));
            var spread = second.sqrt().div_(Scalars.Of(Math.Sqrt(two))).add_(Scalars.Of(_options.Epsilon), Scalars.One);
            parameter.addcdiv_(first, spread, Scalars.Of(-rate / one));
            parameter.grad = null; // A parameter that the next step does not use then rests, as in the original.
        }
    }

    public void Dispose()
    {
        foreach (var (first, second) in _moments.Values)
        {
            first.Dispose();
            second.Dispose();
        }
    }
}

/// <param name="WeightDecay">Part of a weight of a gated block that a step takes away, times the learning rate.</param>
public sealed record AdamWOptions(double WeightDecay = 0.1, double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8);
