using Flamingo.Checkpoints;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Loop;

public sealed class RunFolderTests(Models models)
{
    private static RunState State(long step) =>
        new(step, TimeSpan.FromSeconds(step * 1.5), [new StreamPosition(step, 2), new StreamPosition(0, 7)], "as always");

    [Fact]
    public void A_checkpoint_has_all_that_was_saved()
    {
        using var folder = new RunFolder(models.NewFolder());
        Assert.Null(folder.Newest());
        using var weights = new BridgeWeights(models.DirectoryOf("mpt7b"), ScalarType.Float32);
        using var optimizer = Moved(weights);
        folder.Save(weights, optimizer, State(3));

        using var others = new BridgeWeights(models.DirectoryOf("mpt7b"), ScalarType.Float32);
        using var loaded = new AdamW(others.Trained, new AdamWOptions());
        var state = folder.Newest()!;
        folder.Load(others, loaded, state);
        Assert.Equal(State(3) with { Streams = state.Streams }, state);
        Assert.Equal(State(3).Streams, state.Streams);
        Assert.Equal(3, loaded.Steps);
        Assert.All(weights.Trained, one => Assert.True(one.Value.bytes.SequenceEqual(others.Trained[one.Key].bytes), one.Key));
        Assert.All(optimizer.Moments, one =>
        {
            Assert.True(one.Value.First.bytes.SequenceEqual(loaded.Moments[one.Key].First.bytes), one.Key);
            Assert.True(one.Value.Second.bytes.SequenceEqual(loaded.Moments[one.Key].Second.bytes), one.Key);
        });
    }

    [Fact]
    public void The_last_two_are_kept_and_an_unfinished_one_counts_for_nothing()
    {
        var path = models.NewFolder();
        using var weights = new BridgeWeights(models.DirectoryOf("mpt7b"), ScalarType.Float32);
        using var optimizer = Moved(weights);
        using (var folder = new RunFolder(path))
            foreach (var step in new[] { 5, 10, 10, 15 }) folder.Save(weights, optimizer, State(step));
        Assert.Equal(["step-00000010", "step-00000015"], Directory.GetDirectories(path).Select(Path.GetFileName).Order());

        var unfinished = Directory.CreateDirectory(Path.Combine(path, "step-00000020.unfinished")).FullName;
        File.WriteAllText(Path.Combine(unfinished, "trained.safetensors"), "half of it");
        using var again = new RunFolder(path);
        Assert.Equal(15, again.Newest()!.Step);
        Assert.False(Directory.Exists(unfinished));
        again.Save(weights, optimizer, State(20));
        Assert.Equal(20, again.Newest()!.Step);
    }

    [Theory]
    [InlineData("state.json", "")]
    [InlineData("state.json", "{\"step\":4")]
    [InlineData("state.json", "{\"step\":4}")]
    [InlineData("state.json", null)]
    [InlineData("trained.safetensors", "short")]
    [InlineData("trained.safetensors", null)]
    public void A_damaged_checkpoint_is_named_with_the_remedy(string name, string? content)
    {
        var path = models.NewFolder();
        using var weights = new BridgeWeights(models.DirectoryOf("mpt7b"), ScalarType.Float32);
        using var optimizer = Moved(weights);
        using var folder = new RunFolder(path);
        folder.Save(weights, optimizer, State(2));
        folder.Save(weights, optimizer, State(4));
        var (newest, file) = (Path.Combine(path, "step-00000004"), Path.Combine(path, "step-00000004", name));
        if (content is null) File.Delete(file);
        else File.WriteAllText(file, content);
        var fault = Assert.Throws<CheckpointException>(() => folder.Load(weights, optimizer, folder.Newest()!)).Message;
        Assert.Contains(file, fault, StringComparison.Ordinal);
        Assert.Contains($"Delete {newest} to go on from the checkpoint before it.", fault, StringComparison.Ordinal);
        Directory.Delete(newest, recursive: true);
        folder.Load(weights, optimizer, folder.Newest()!);
        Assert.Equal(2, optimizer.Steps);
    }

    [Fact]
    public void Another_models_checkpoint_is_refused()
    {
        using var folder = new RunFolder(models.NewFolder());
        using var weights = new BridgeWeights(models.DirectoryOf("mpt7b"), ScalarType.Float32);
        using var optimizer = Moved(weights);
        folder.Save(weights, optimizer, State(2));
        using var others = new BridgeWeights(models.DirectoryOf("shapes"), ScalarType.Float32);
        using var other = new AdamW(others.Trained, new AdamWOptions());
        var fault = Assert.Throws<CheckpointException>(() => folder.Load(others, other, folder.Newest()!)).Message;
        Assert.Contains("it belongs to another model. Name another --output.", fault, StringComparison.Ordinal);
    }

    [Fact]
    public void A_weight_that_is_not_finite_is_not_saved_over_good_ones()
    {
        using var folder = new RunFolder(models.NewFolder());
        using var weights = new BridgeWeights(models.DirectoryOf("mpt7b"), ScalarType.Float32);
        using var optimizer = Moved(weights);
        folder.Save(weights, optimizer, State(2));
        using (no_grad()) weights.Trained[BridgeWeights.Rows].fill_(float.NaN);
        var fault = Assert.Throws<CheckpointException>(() => folder.Save(weights, optimizer, State(3))).Message;
        Assert.Contains("After step 3 a trained weight is not finite", fault, StringComparison.Ordinal);
        Assert.Equal(2, folder.Newest()!.Step);
    }

    [Fact]
    public void Two_runs_cannot_hold_one_folder()
    {
        var path = models.NewFolder();
        using (new RunFolder(path))
            Assert.Contains("name another --output", Assert.Throws<CheckpointException>(() => new RunFolder(path)).Message,
                StringComparison.Ordinal);
        using var afterwards = new RunFolder(path);
    }

    // An optimizer that has taken a step with some gradients.
    private static AdamW Moved(BridgeWeights weights)
    {
        var optimizer = new AdamW(weights.Trained, new AdamWOptions());
        foreach (var parameter in weights.Trained.Values) parameter.grad = full_like(parameter, 0.25).detach();
        optimizer.Step(1e-3);
        return optimizer;
    }
}
