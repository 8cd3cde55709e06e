using System.Text.RegularExpressions;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Tensors;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Network;

/// <summary>
/// Gradients against finite differences of the loss, for every family: tied and untied heads, ALiBi and rotary positions, sequential and
/// parallel residuals, LayerNorm and RMSNorm, GELU and SwiGLU.
/// </summary>
public sealed partial class GradientTests(Models models)
{
    [Theory]
    [InlineData("mpt1b")]
    [InlineData("mpt7b")]
    [InlineData("neox")]
    [InlineData("pythia")]
    [InlineData("llama")]
    [InlineData("idefics")]
    public void Gradients_are_the_slopes_of_the_loss(string family)
    {
        using var scope = NewDisposeScope();
        var (model, batch, features) = Prepare(family);
        // The computation is in f64, so that a small step's difference is not rounding. The code is that of f32.
        using var weights = new BridgeWeights(model, ScalarType.Float64);
        using var trainer = new BridgeTrainer(model.Config, weights, new AdamWOptions());
        trainer.Backward(features, batch, 1);
        var random = new Random(7);
        // One tensor of each kind: layers have the same kinds.
        var kinds = weights.Trained.Keys.GroupBy(name => Layer().Replace(name, "layers.N.")).Select(kind => kind.Last()).ToList();
        Assert.True(kinds.Count > 10, $"{kinds.Count} kinds");
        foreach (var name in kinds)
        {
            var gradients = weights.Trained[name].grad!.flatten().data<float>().ToArray();
            var large = gradients.Index().OrderByDescending(one => Math.Abs(one.Item)).Take(20).Select(one => one.Index).ToArray();
            foreach (var at in Enumerable.Range(0, 2).Select(_ => large[random.Next(large.Length)]))
            {
                // The smaller step is for slopes near a kink of ReLU, the larger one for slopes that are near the rounding of logits.
                double[] slopes = [.. new[] { 1.0 / 128, 1.0 / 1024 }.Select(step =>
                    Slope(trainer.Network, weights.Trained[name], at, step, features, batch))];
                Assert.True(slopes.Min(slope => Math.Abs(slope - gradients[at])) <= (0.02 * Math.Abs(gradients[at])) + 2e-5,
                    $"{family} {name}[{at}]: the gradient is {gradients[at]:g6}, the slopes {string.Join(" and ", slopes)}");
            }
        }
    }

    [Theory]
    [InlineData("mpt1b")]
    [InlineData("mpt7b")]
    [InlineData("neox")]
    [InlineData("pythia")]
    [InlineData("llama")]
    [InlineData("idefics")]
    public void Gradients_are_the_same_where_layers_are_computed_again(string family)
    {
        using var scope = NewDisposeScope();
        var (model, batch, features) = Prepare(family);
        var (loss, plain) = Gradients(recomputes: false);
        var (otherLoss, recomputed) = Gradients(recomputes: true);
        Assert.Equal(loss, otherLoss);
        Assert.Equal(plain.Keys, recomputed.Keys);
        foreach (var (name, gradient) in plain)
        {
            var apart = (gradient - recomputed[name]).abs().max().item<float>();
            var largest = gradient.abs().max().item<float>();
            Assert.True(apart <= 1e-5 * largest, $"{family} {name}: {apart:g3} of {largest:g3}");
        }

        (double, SortedDictionary<string, Tensor>) Gradients(bool recomputes)
        {
            using var weights = new BridgeWeights(model, ScalarType.Float32);
            using var trainer = new BridgeTrainer(model.Config, weights, new AdamWOptions(), recomputes);
            // Two batches add their gradients, one of them without any picture.
            var (sum, _) = trainer.Backward(features, batch, 0.5);
            trainer.Backward(features, new GoldenBatch(family).Of(0), 1);
            return (sum, new(weights.Trained.ToDictionary(one => one.Key, one => one.Value.grad!.clone()), StringComparer.Ordinal));
        }
    }

    // A prompt with several pictures and one without any, in one batch.
    private (ModelDirectory Model, TrainingBatch Batch, Tensor Features) Prepare(string family)
    {
        var prompts = new GoldenBatch(family);
        var chosen = prompts.Names.Index().Where(name =>
            name.Item == "no-picture" || name.Item.EndsWith("in-a-row", StringComparison.Ordinal)).Select(name => name.Index).ToArray();
        return (models.DirectoryOf(family), prompts.Of(chosen), GoldenBatch.ToTensor(prompts.Features));
    }

    private static double Slope(BridgeNetwork network, Tensor parameter, int at, double size, Tensor features,
        TrainingBatch batch)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var values = parameter.flatten();
        var start = values[at].item<float>();
        float Move(double by)
        {
            values[at].fill_(Scalars.Of(start + by));
            return values[at].item<float>();
        }

        var above = Move(size);
        var high = Loss(network, features, batch);
        var below = Move(-size);
        var low = Loss(network, features, batch);
        Move(0);
        return (high - low) / (above - below);
    }

    // The network's own loss is f32, and its rounding would hide small slopes.
    private static double Loss(BridgeNetwork network, Tensor features, TrainingBatch batch)
    {
        using var scope = NewDisposeScope();
        var x = network.Forward(batch, features);
        var logits = network.Logits(x, [.. batch.Places.Select(one => one.Place)]).to(ScalarType.Float64);
        return nn.functional.cross_entropy(logits, tensor(batch.Places.Select(one => one.Label).ToArray())).item<double>();
    }

    [GeneratedRegex(@"layers\.[0-9]+\.")]
    private static partial Regex Layer();
}
