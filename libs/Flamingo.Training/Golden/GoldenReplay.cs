using System.Globalization;
using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Weights;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using Flamingo.VisionEncoder.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Golden;

/// <summary>
/// Replays optimiser steps that OpenFlamingo's own training loop recorded, in f32, and compares losses, gradients and what moved. The
/// folder holds golden.json (token ids, labels, options, and each step's figures) and golden.safetensors (pixels, gradients and
/// results under the original's names).
/// </summary>
public static class GoldenReplay
{
    private const double LossTolerance = 1e-4, GradientTolerance = 1e-3, ValueTolerance = 1e-4, SharpShare = 0.99;

    /// <param name="model">The model, imported from the family that golden.json names.</param>
    /// <param name="folder">Folder of the golden.</param>
    /// <param name="print">Takes each line of the report.</param>
    /// <returns>Whether everything holds.</returns>
    /// <exception cref="CheckpointException">A file is missing or is no golden of training, or the model is another one.</exception>
    public static bool Run(ModelDirectory model, string folder, Action<string> print)
    {
        var golden = GoldenSteps.Read(folder);
        using var expected = SafetensorsFile.Open(Path.Combine(folder, "golden.safetensors"));
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        var options = new AdamWOptions(golden.WeightDecay, golden.Betas[0], golden.Betas[1], golden.Epsilon);
        using var trainer = new BridgeTrainer(model.Config, weights, options);
        using var features = Features(model, expected);
        var names = new OriginalNames(model.Config.Language);
        var start = weights.Trained.ToDictionary(one => one.Key, one => one.Value.detach().clone().DetachFromDisposeScope());
        var (faults, rates) = (new List<string>(), 0.0);
        for (var step = 0; step < golden.Steps.Count; step++)
        {
            var wanted = golden.Steps[step];
            var rate = golden.LearningRate * Math.Min(1, step / (double)Math.Max(1, golden.WarmupSteps));
            var (captions, _) = trainer.Backward(features, golden.Captions, golden.CaptionMultiplier);
            var (interleaved, _) = trainer.Backward(features, golden.Interleaved, golden.InterleavedMultiplier);
            if (step == 0) CheckGradients(weights, names, expected, faults);
            var norm = trainer.Clip(golden.Clip);
            trainer.Step(rate);
            rates += rate;
            print(string.Create(CultureInfo.InvariantCulture, $"step {step}: captions {captions:F6} (golden {wanted.CaptionLoss:F6}), "
                + $"interleaved {interleaved:F6} ({wanted.InterleavedLoss:F6}), gradient norm {norm:F6} ({wanted.GradientNorm:F6}), "
                + $"rate {rate:G6} ({wanted.LearningRate:G6})"));
            Check($"step {step}: the loss of captions", captions, wanted.CaptionLoss, LossTolerance, faults);
            Check($"step {step}: the loss of interleaved documents", interleaved, wanted.InterleavedLoss, LossTolerance, faults);
            Check($"step {step}: the gradient norm", norm, wanted.GradientNorm, LossTolerance, faults);
            Check($"step {step}: the rate", rate, wanted.LearningRate, LossTolerance, faults);
        }

        var (largest, where) = CheckValues(weights, names, expected, rates, faults);
        print(string.Create(CultureInfo.InvariantCulture,
            $"largest error of the changed parameters: {largest:E2} of the largest value, in {where}"));
        CheckMoved(model, weights, start, names, golden, faults);
        foreach (var tensor in start.Values) tensor.Dispose();
        foreach (var fault in faults) print($"broken: {fault}");
        print(faults.Count == 0 ? "The golden holds." : $"The golden does not hold: {faults.Count} differences.");
        return faults.Count == 0;
    }

    private static Tensor Features(ModelDirectory model, SafetensorsFile golden)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var file = model.OpenWeights("vision");
        var reader = new WeightsReader(file, CPU, ScalarType.Float32);
        using var tower = new VisionTransformer(model.Config.Vision, reader);
        reader.Finish();
        return tower.Forward(BridgeWeights.Read(golden, Entry(golden, "pixels"))).Features.clone().DetachFromDisposeScope();
    }

    private static SafetensorsEntry Entry(SafetensorsFile golden, string name) => golden.Entries.TryGetValue(name, out var entry)
        ? entry
        : throw new CheckpointException($"{golden.Path} has no {name}. It belongs to another model, or is no golden of training.");

    private static void Check(string what, double value, double wanted, double tolerance, List<string> faults)
    {
        if (!(Math.Abs(value - wanted) <= tolerance * Math.Abs(wanted)))
            faults.Add(string.Create(CultureInfo.InvariantCulture, $"{what} is {value:G8}, the golden's is {wanted:G8}"));
    }

    private static void CheckGradients(BridgeWeights weights, OriginalNames names, SafetensorsFile golden, List<string> faults)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, parameter) in weights.Trained)
        {
            var original = name == BridgeWeights.Rows ? names.Embedding : names.Of(name);
            var wanted = BridgeWeights.Read(golden, Entry(golden, $"gradient_norm.{original}"))[0].item<float>();
            Check($"the gradient norm of {original}", parameter.grad?.norm().item<float>() ?? 0, wanted, GradientTolerance, faults);
        }
    }

    private static (double Largest, string Where) CheckValues(
        BridgeWeights weights, OriginalNames names, SafetensorsFile golden, double rates, List<string> faults)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var (largest, where) = (0.0, "none");
        foreach (var (name, parameter) in weights.Trained)
        {
            var original = name == BridgeWeights.Rows ? $"{names.Embedding}.rows" : names.Of(name);
            var wanted = BridgeWeights.Read(golden, Entry(golden, $"after3.{original}"));
            var apart = (parameter - wanted).abs();
            var (scale, most) = (wanted.abs().max().item<float>(), apart.max().item<float>());
            var sharp = apart.le(ValueTolerance * scale).to(ScalarType.Float32).mean().item<float>();
            if (most / scale > largest) (largest, where) = (most / scale, original);
            if (sharp < SharpShare)
                faults.Add(string.Create(CultureInfo.InvariantCulture,
                    $"{original}: only {sharp:P2} of its elements are within {ValueTolerance} of its largest value"));
            if (!(most <= 2 * rates))
                faults.Add(string.Create(CultureInfo.InvariantCulture,
                    $"{original}: an element is off by {most:G4}, which is more than twice the sum of the rates, {2 * rates:G4}"));
        }

        return (largest, where);
    }

    private static void CheckMoved(ModelDirectory model, BridgeWeights weights, Dictionary<string, Tensor> start, OriginalNames names,
        GoldenSteps golden, List<string> faults)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var moved = weights.Trained.Where(one => !one.Value.allclose(start[one.Key], 0, 0))
            .SelectMany(one => one.Key != BridgeWeights.Rows ? [names.Of(one.Key)]
                : model.Config.Language.TiedEmbeddings ? new[] { names.Embedding, names.Head } : [names.Embedding]).ToHashSet();
        // A tied head has a name of its own in some families only.
        moved.RemoveWhere(name => name == names.Head && !golden.Changed.Contains(name));
        faults.AddRange(moved.Except(golden.Changed).Select(name => $"{name} moved, and should not"));
        faults.AddRange(golden.Changed.Except(moved).Select(name => $"{name} did not move"));
        faults.AddRange(FrozenWeights.Moved(model, weights).Select(name => $"{name} is frozen, and moved"));
    }
}

/// <summary>The content of golden.json, as the original's script writes it.</summary>
internal sealed record GoldenSteps
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public required double LearningRate { get; init; }

    public required int WarmupSteps { get; init; }

    public required double WeightDecay { get; init; }

    public required double Clip { get; init; }

    public required double[] Betas { get; init; }

    public required double Epsilon { get; init; }

    public required Dictionary<string, double> LossMultipliers { get; init; }

    public required int[][] CaptionIds { get; init; }

    public required int[][] CaptionLabels { get; init; }

    public required int[] CaptionPictures { get; init; }

    public required int[][] InterleavedIds { get; init; }

    public required int[][] InterleavedLabels { get; init; }

    public required int[][] InterleavedPictures { get; init; }

    public required IReadOnlyList<string> Changed { get; init; }

    public required IReadOnlyList<GoldenStep> Steps { get; init; }

    public double CaptionMultiplier => LossMultipliers["captions"];

    public double InterleavedMultiplier => LossMultipliers["interleaved"];

    public TrainingBatch Captions => new(CaptionIds, CaptionLabels, [.. CaptionPictures.Select(picture => new[] { picture })]);

    // -1 stands for a picture that a document does not have.
    public TrainingBatch Interleaved => new(InterleavedIds, InterleavedLabels,
        [.. InterleavedPictures.Select(pictures => pictures.Where(picture => picture >= 0).ToArray())]);

    public static GoldenSteps Read(string folder)
    {
        var file = Path.Combine(folder, "golden.json");
        try
        {
            return JsonSerializer.Deserialize<GoldenSteps>(TextFile.ReadJson(file).Span, Json)
                ?? throw new CheckpointException($"{file} is empty.");
        }
        catch (JsonException exception)
        {
            throw new CheckpointException($"{file} is no golden of training: {JsonProblem.Describe(exception)}", exception);
        }
    }
}

/// <summary>What the original measured in one step.</summary>
internal sealed record GoldenStep(double CaptionLoss, double InterleavedLoss, double GradientNorm, double LearningRate);
