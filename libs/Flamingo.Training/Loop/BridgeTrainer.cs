using Flamingo.Checkpoints;
using Flamingo.Modeling.Tensors;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Loop;

/// <summary>
/// Gradients of a bridge, and its steps. <see cref="Backward"/> is called once per batch of a step and adds gradients;
/// <see cref="Step"/> then moves the weights.
/// </summary>
/// <param name="config">Sizes and forms.</param>
/// <param name="weights">Weights in training, which the caller owns.</param>
/// <param name="optimizer">Options of AdamW.</param>
/// <param name="recomputes">
/// Whether a layer's inner values are computed again for its gradient (gradient checkpointing), so that only one layer's are in memory.
/// </param>
/// <param name="teacherWeight">Weight of the auxiliary loss of <see cref="TextTeacher"/>; 0 leaves it out.</param>
public sealed class BridgeTrainer(
    ModelConfig config, BridgeWeights weights, AdamWOptions optimizer, bool recomputes = false, double teacherWeight = 0) : IDisposable
{
    private readonly BridgeNetwork _network = new(config, weights);
    private readonly TextTeacher _teacher = new(new BridgeNetwork(config, weights), config.Language.Layers);

    /// <summary>The network whose weights are trained.</summary>
    public BridgeNetwork Network => _network;

    public AdamW Optimizer { get; } = new(weights.Trained, optimizer);

    /// <summary>Computes a batch's loss without gradients.</summary>
    /// <param name="features">Features of the batch's pictures, [pictures, patches, width].</param>
    public double Loss(Tensor features, TrainingBatch batch)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        return _network.Loss(_network.Forward(batch, features), batch).item<float>();
    }

    /// <summary>Adds the gradients of a batch's loss times a factor.</summary>
    /// <param name="features">Features of the batch's pictures, [pictures, patches, width].</param>
    /// <param name="factor">Multiplier of the loss.</param>
    /// <returns>The loss and the auxiliary loss, without factor and weight.</returns>
    public (double Loss, double Auxiliary) Backward(Tensor features, TrainingBatch batch, double factor)
    {
        using var scope = NewDisposeScope();
        return recomputes ? Recomputing(features, batch, factor) : AtOnce(features, batch, factor);
    }

    /// <summary>Scales all gradients so that their norm is at most <paramref name="most"/>, as torch's clip_grad_norm_ does.</summary>
    /// <returns>The norm before.</returns>
    public double Clip(double most)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var gradients = weights.Trained.Values.Select(parameter => parameter.grad).OfType<Tensor>().ToList();
        if (gradients.Count == 0) return 0;
        var norm = stack(gradients.Select(gradient => gradient.norm())).norm().item<float>();
        var scale = most / (norm + 1e-6);
        if (scale < 1)
            foreach (var gradient in gradients) gradient.mul_(Scalars.Of(scale));
        return norm;
    }

    /// <summary>Moves the weights by their gradients, and forgets the gradients.</summary>
    public void Step(double rate) => Optimizer.Step(rate);

    public void Dispose() => Optimizer.Dispose();

    private (double, double) AtOnce(Tensor features, TrainingBatch batch, double factor)
    {
        var (latents, step) = (_network.Resample(features), _network.Prepare(batch));
        var x = _network.Embed(batch);
        Tensor? auxiliary = null;
        for (var layer = 0; layer < config.Language.Layers; layer++)
        {
            x = _network.Layer(layer, x, latents, step);
            if (layer + 1 == _teacher.Layers) auxiliary = Auxiliary(x, batch);
        }

        var loss = _network.Loss(x, batch);
        var whole = auxiliary is null ? loss : loss.add(auxiliary, Scalars.Of(teacherWeight));
        whole.mul(Scalars.Of(factor)).backward();
        return (loss.item<float>(), auxiliary?.item<float>() ?? 0);
    }

    private Tensor? Auxiliary(Tensor x, TrainingBatch batch) => teacherWeight > 0 && batch.Twin is { } twin
        ? TextTeacher.Distance(x, [.. batch.Places.Select(one => one.Place)], _teacher.Read(twin)) : null;

    // The layers are a chain, so their gradients are computed from the last to the first, each from the layer's input alone.
    private (double, double) Recomputing(Tensor features, TrainingBatch batch, double factor)
    {
        var step = _network.Prepare(batch);
        Tensor latents;
        var inputs = new List<Tensor>();
        using (no_grad())
        {
            latents = _network.Resample(features);
            inputs.Add(_network.Embed(batch));
            for (var layer = 0; layer < config.Language.Layers; layer++)
            {
                using var inner = NewDisposeScope();
                inputs.Add(_network.Layer(layer, inputs[layer], latents, step).MoveToOuterDisposeScope());
            }
        }

        var read = latents.detach().requires_grad_(true);
        var x = inputs[^1].detach().requires_grad_(true);
        var loss = _network.Loss(x, batch);
        loss.mul(Scalars.Of(factor)).backward();
        var (gradient, auxiliary) = (x.grad!, 0.0);
        for (var layer = config.Language.Layers - 1; layer >= 0; layer--)
        {
            using var inner = NewDisposeScope();
            if (layer + 1 == _teacher.Layers)
            {
                var middle = inputs[layer + 1].detach().requires_grad_(true);
                if (Auxiliary(middle, batch) is { } distance)
                {
                    distance.mul(Scalars.Of(factor * teacherWeight)).backward();
                    (gradient, auxiliary) = (gradient.Plus(middle.grad!), distance.item<float>());
                }
            }

            var input = inputs[layer].detach().requires_grad_(true);
            _network.Layer(layer, input, read, step).backward([gradient]);
            gradient = input.grad!.MoveToOuterDisposeScope();
        }

        // A batch without special tokens reads frozen rows alone, and a model without a resampler has none to train.
        if (_network.Embed(batch) is { requires_grad: true } embedded) embedded.backward([gradient]);
        if (read.grad is { } latentGradient && _network.Resample(features) is { requires_grad: true } resampled)
            resampled.backward([latentGradient]);
        return (loss.item<float>(), auxiliary);
    }
}
