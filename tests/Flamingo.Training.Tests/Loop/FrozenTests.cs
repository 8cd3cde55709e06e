using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Testing;
using Flamingo.Training.Data;
using Flamingo.Training.Network;
using Flamingo.Training.Results;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Loop;

public sealed class FrozenTests(Models models)
{
    [Theory]
    [InlineData("float32")]
    [InlineData("bfloat16")]
    public void A_moved_frozen_weight_is_found(string dtype)
    {
        var model = models.DirectoryOf("mpt7b");
        using var weights = new BridgeWeights(model, dtype == "float32" ? ScalarType.Float32 : ScalarType.BFloat16);
        Assert.Empty(FrozenWeights.Moved(model, weights));
        var name = weights.Frozen.Keys.First(key => key.EndsWith("feed_forward.up.weight", StringComparison.Ordinal));
        using (no_grad()) weights.Frozen[name].view(-1)[3].mul_(1.25);
        Assert.Equal([name], FrozenWeights.Moved(model, weights));
    }

    [Theory]
    [InlineData("mpt7b", true)]
    [InlineData("llama", false)]
    public void Only_the_bridge_and_two_rows_of_the_embedding_move(string family, bool exports)
    {
        var task = new TrainingTask(models, family);
        var export = Path.Combine(task.Folder, "checkpoint.pt");
        task.Request = task.Request with
        {
            ExportOpenFlamingo = exports ? export : null, Options = task.Request.Options with { Steps = 3, WarmUp = 0 },
        };
        Assert.True(task.Run());
        var (before, after) = (TrainingTask.Tensors(task.Request.Model), task.Result());
        Assert.Equal(before.Keys.Order(), after.Keys.Order());
        foreach (var (name, bytes) in before)
        {
            var isTrained = name.StartsWith("resampler.", StringComparison.Ordinal) || BridgeWeights.IsGated(name);
            if (name == "language.token_embedding.weight") Assert.Equal(Special(task), Rows(bytes, after[name], task));
            else if (!isTrained) Assert.True(bytes.AsSpan().SequenceEqual(after[name]), name);
        }

        Assert.Contains(before, one => BridgeWeights.IsGated(one.Key) && !one.Value.AsSpan().SequenceEqual(after[one.Key]));
        var provenance = ModelDirectory.Open(task.Request.Output).Config.Provenance;
        Assert.StartsWith(TrainedModel.Tool, provenance.Tool, StringComparison.Ordinal);
        Assert.StartsWith("flamingo train as a test; 3 steps; ", provenance.Settings, StringComparison.Ordinal);
        if (!exports) return;

        // The exported checkpoint, imported beside the same CLIP and language model, is the result.
        string Source(string part) => RepositoryFiles.Path("tests", "reference", "families", family, part);
        var again = OpenFlamingoImport.Run(new OpenFlamingoSource(Source("vision"), Source("language"), export, 2),
            Path.Combine(task.Folder, "again"), progress: null, TestContext.Current.CancellationToken);
        Assert.All(TrainingTask.Tensors(again), one => Assert.True(one.Value.AsSpan().SequenceEqual(after[one.Key]), one.Key));
    }

    private static IEnumerable<int> Special(TrainingTask task) =>
        new[] { task.Request.Model.Config.Tokens.EndOfChunk.Id, task.Request.Model.Config.Tokens.Image.Id }.Order();

    // Numbers of the rows that differ.
    private static IEnumerable<int> Rows(byte[] before, byte[] after, TrainingTask task)
    {
        var size = before.Length / task.Request.Model.Config.Language.VocabularySize;
        return before.Chunk(size).Zip(after.Chunk(size)).Index()
            .Where(row => !row.Item.First.AsSpan().SequenceEqual(row.Item.Second)).Select(row => row.Index);
    }
}
