using Flamingo.Checkpoints;
using Flamingo.Training.Data;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using Flamingo.Training.Tests.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Loop;

public sealed class TrainerTests(Models models)
{
    [Theory]
    [InlineData("mpt7b")]
    [InlineData("llama")]
    public void A_tiny_set_is_learnt_by_heart_and_bfloat16_begins_like_float32(string family)
    {
        var (wide, narrow) = (Learn(family, ScalarType.Float32, 25), Learn(family, ScalarType.BFloat16, 5));
        Assert.True(wide[^1] < wide[0] / 3, $"from {wide[0]:F3} to {wide[^1]:F3}");
        Assert.All(narrow.Zip(wide), one => Assert.InRange(one.First, one.Second * 0.9, one.Second * 1.1));
        Assert.NotEqual(wide.Take(5), narrow);
    }

    [Theory]
    [InlineData("mpt1b")]
    [InlineData("pythia")]
    [InlineData("llama")]
    public void A_new_bridge_computes_what_the_language_model_alone_computes(string family)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (model, prompts) = (models.DirectoryOf(family), new GoldenBatch(family));
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        weights.Renew(4);
        var (network, batch) = (new BridgeNetwork(model.Config, weights), prompts.Of([.. Enumerable.Range(0, prompts.Names.Count)]));
        var (step, latents) = (network.Prepare(batch), network.Resample(GoldenBatch.ToTensor(prompts.Features)));
        var (seeing, alone) = (network.Embed(batch), network.Embed(batch));
        for (var layer = 0; layer < model.Config.Language.Layers; layer++)
            (seeing, alone) = (network.Layer(layer, seeing, latents, step), network.Layer(layer, alone, null, step));
        Assert.True(seeing.bytes.SequenceEqual(alone.bytes));
        Assert.True(latents.abs().max().item<float>() > 0);
    }

    [Fact]
    public void Clipping_scales_all_gradients_to_the_largest_norm()
    {
        using var scope = NewDisposeScope();
        using var weights = new BridgeWeights(models.DirectoryOf("mpt7b"), ScalarType.Float32);
        using var trainer = new BridgeTrainer(models.DirectoryOf("mpt7b").Config, weights, new AdamWOptions());
        Assert.Equal(0, trainer.Clip(1));
        foreach (var parameter in weights.Trained.Values) parameter.grad = ones_like(parameter).detach();
        var norm = Math.Sqrt(weights.Trained.Values.Sum(parameter => parameter.numel()));
        Assert.Equal(norm, trainer.Clip(norm * 2), norm * 1e-5);
        Assert.Equal(norm, trainer.Clip(2), norm * 1e-5);
        Assert.Equal(2, trainer.Clip(2), 1e-4);
    }

    [Fact]
    public void A_loss_that_is_not_finite_is_named_with_its_samples()
    {
        var task = new TrainingTask(models);
        var model = task.Request.Model;
        var options = task.Request.Options with { Steps = 30 };
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        using var source = new FeatureSource(model, ScalarType.Float32, new FeatureOptions());
        var damaged = Testing.TinyShapes.Picture(3);
        Tensor Features(IReadOnlyList<PictureFile> pictures)
        {
            var features = source.Read(pictures);
            foreach (var (index, picture) in pictures.Index())
                if (picture.Bytes.Span.SequenceEqual(damaged)) features[index].fill_(float.NaN);
            return features;
        }

        using var run = new TrainingRun(model.Config, weights, [Stream(models, task, source)], Features, Twins(models), options,
            TimeProvider.System);
        var start = new RunState(0, TimeSpan.Zero, [StreamPosition.Start], "");
        var fault = Assert.Throws<CheckpointException>(() => run.Run(start, (_, _) => { }, TestContext.Current.CancellationToken)).Message;
        Assert.Matches(@"^The loss of step \d+ is NaN because of .*examples\.jsonl", fault);
        Assert.Contains("go on with --resume, or lower --learning-rate", fault, StringComparison.Ordinal);
        // Examples 4, 12 and 20 show the picture alone, and some of every third one beside another.
        var lines = System.Text.RegularExpressions.Regex.Matches(fault, @"line (\d+)").Select(match => int.Parse(match.Groups[1].Value,
            null));
        var shown = File.ReadLines(task.Examples).Index().Where(line => line.Item.Contains("\"3.png\"", StringComparison.Ordinal))
            .Select(line => line.Index + 1).ToList();
        Assert.NotEmpty(lines);
        Assert.All(lines, line => Assert.Contains(line, shown));
    }

    [Fact]
    public void What_fails_while_data_are_prepared_reaches_the_caller()
    {
        var task = new TrainingTask(models);
        var model = task.Request.Model;
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        using var source = new FeatureSource(model, ScalarType.Float32, new FeatureOptions());
        var (calls, taken) = (0, 0);
        Tensor Features(IReadOnlyList<PictureFile> pictures) =>
            ++calls <= 3 ? source.Read(pictures) : throw new IOException("the disk is gone");
        using var run = new TrainingRun(
            model.Config, weights, [Stream(models, task, source)], Features, Twins(models), task.Request.Options, TimeProvider.System);
        var start = new RunState(0, TimeSpan.Zero, [StreamPosition.Start], "");
        var fault = Assert.Throws<IOException>(() => run.Run(start, (_, _) => taken++, TestContext.Current.CancellationToken));
        Assert.Equal("the disk is gone", fault.Message);
        Assert.Equal(3, taken); // What was prepared before is trained on.
    }

    internal static TextTwins Twins(Models models) =>
        new(models.DirectoryOf("mpt7b").Config.Tokens, models.TokenizerOf("mpt7b"));

    internal static TrainingStream Stream(Models models, TrainingTask task, FeatureSource source)
    {
        var report = new DataReport(new DataOptions());
        var data = new DataStream(task.Request.Data[0],
            new SequenceEncoder(task.Request.Model.Config, models.TokenizerOf("mpt7b"), new DataOptions()), new DataOptions(), 1, report);
        return new TrainingStream("examples", 1, new BatchPlan(skip => data.Read(skip, TestContext.Current.CancellationToken),
            sequence => source.CanRead(sequence, report), task.Request.Options.BatchTokens, 1));
    }

    private double[] Learn(string family, ScalarType dtype, int steps)
    {
        var task = new TrainingTask(models, family, examples: 8);
        task.Request = task.Request with
        {
            Dtype = dtype, Options = task.Request.Options with { Steps = steps, LearningRate = 4e-3, SaveEvery = 1000, BatchTokens = 1000 },
        };
        Assert.True(task.Run());
        return task.Losses();
    }
}
