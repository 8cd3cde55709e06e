using Flamingo.Checkpoints;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using Flamingo.Training.Network;
using Flamingo.Training.Results;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Results;

public sealed class TrainedModelTests(Models models)
{
    [Theory]
    [InlineData("mpt7b")]
    [InlineData("neox")]
    [InlineData("idefics")]
    [InlineData("shapes")]
    public void A_result_has_the_trained_values_and_everything_else_of_its_start(string family)
    {
        var (start, output) = (models.DirectoryOf(family), Path.Combine(models.NewFolder(), "result"));
        using var weights = Moved(start);
        var result = TrainedModel.Write(
            start, weights, output, "flamingo train …; 3 steps", TestContext.Current.CancellationToken, "F32");

        using (var again = new BridgeWeights(result, ScalarType.Float32))
        {
            foreach (var (name, trained) in weights.Trained) Assert.True(trained.allclose(again.Trained[name], 0, 0), name);
            Assert.Empty(FrozenWeights.Moved(start, again).Except(["token_embedding.weight"]));
            var (before, after) = (weights.Frozen["token_embedding.weight"], again.Frozen["token_embedding.weight"]);
            var rows = before.ne(after).any(1).nonzero().flatten().data<long>().ToArray();
            Assert.Equal(weights.SpecialIds.Order(), rows);
        }

        Assert.Equal("result", result.Config.ModelId);
        Assert.Equal(start.Config.Weights["vision"], result.Config.Weights["vision"]);
        Assert.NotEqual(start.Config.Weights["resampler"].LatentDigest, result.Config.Weights["resampler"].LatentDigest);
        foreach (var part in new[] { "vision", "resampler", "language" })
        {
            using var file = result.OpenWeights(part);
            Assert.Equal(result.Config.Weights[part].Digest, WeightsDigest.Compute(file, _ => true));
        }

        var made = result.Config.Provenance;
        Assert.Equal((start.Config.Provenance.Layout, TrainedModel.Tool), (made.Layout, made.Tool));
        Assert.Equal(start.Config.Provenance.Sources, made.Sources);
        Assert.StartsWith("flamingo train …; 3 steps; began with ", made.Settings, StringComparison.Ordinal);
        Assert.Contains(start.Config.Weights["language"].Digest[..16], made.Settings, StringComparison.Ordinal);
        // Services read it: all weights are there, in their shapes.
        using var language = result.OpenWeights("language");
        var reader = new WeightsReader(language, CPU, ScalarType.Float32);
        using (new LanguageModel.Network.Decoder(result.Config.Language, reader, CPU)) reader.Finish();
    }

    [Fact]
    public void The_dtypes_of_the_start_are_kept_unless_another_is_asked_for()
    {
        var start = models.DirectoryOf("shapes");
        using var weights = Moved(start);
        var kept = TrainedModel.Write(start, weights, Path.Combine(models.NewFolder(), "kept"), "", TestContext.Current.CancellationToken);
        Assert.Equal(Dtypes(start, "resampler"), Dtypes(kept, "resampler"));
        Assert.Equal(Dtypes(start, "language"), Dtypes(kept, "language"));
        var half = TrainedModel.Write(
            start, weights, Path.Combine(models.NewFolder(), "half"), "", TestContext.Current.CancellationToken, "F16");
        Assert.All(Dtypes(half, "resampler").Values, dtype => Assert.Equal("F16", dtype));
        const string Frozen = "layers.0.feed_forward.up.weight";
        Assert.Equal(Dtypes(start, "language")[Frozen], Dtypes(half, "language")[Frozen]);
    }

    [Fact]
    public void A_failed_or_cancelled_write_leaves_nothing()
    {
        var (start, folder) = (models.DirectoryOf("mpt7b"), models.NewFolder());
        using var weights = Moved(start);
        var output = Path.Combine(folder, "result");
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => TrainedModel.Write(start, weights, output, "", cancelled.Token));
        using (no_grad()) weights.Trained["resampler.norm.weight"].fill_(Scalars.Of(double.NaN));
        var fault = Assert.Throws<CheckpointException>(
            () => TrainedModel.Write(start, weights, output, "", TestContext.Current.CancellationToken));
        Assert.Contains("norm.weight", fault.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(folder));
        Directory.CreateDirectory(output);
        Assert.Contains("exists already", Assert.Throws<CheckpointException>(
            () => TrainedModel.Write(start, weights, output, "", TestContext.Current.CancellationToken)).Message, StringComparison.Ordinal);
    }

    /// <summary>Weights of a model, of which every trained value has moved.</summary>
    internal static BridgeWeights Moved(ModelDirectory model)
    {
        var weights = new BridgeWeights(model, ScalarType.Float32);
        using var frozen = no_grad();
        foreach (var trained in weights.Trained.Values) trained.mul_(Scalars.Of(1.25)).add_(Scalars.Of(0.0625), Scalars.One);
        return weights;
    }

    private static Dictionary<string, string> Dtypes(ModelDirectory model, string part)
    {
        using var file = model.OpenWeights(part);
        return file.Entries.Values.ToDictionary(entry => entry.Name, entry => entry.Dtype);
    }
}
