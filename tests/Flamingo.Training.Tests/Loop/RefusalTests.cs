using Flamingo.Training.Data;

namespace Flamingo.Training.Tests.Loop;

/// <summary>What a run says before it begins, and what it says of its data at its end.</summary>
public sealed class RefusalTests(Models models)
{
    [Fact]
    public void Memory_that_does_not_fit_is_refused_with_all_figures_before_anything_is_written()
    {
        var task = new TrainingTask(models);
        task.Request = task.Request with { Options = task.Request.Options with { BatchTokens = 2_000_000_000 } };
        Assert.Matches(
            @"^Training needs .* of memory, and .* may be used: frozen weights .*, trained weights with gradients and moments .*, "
            + @"inner values of a batch .*, logits .*, data at most .*, the program .*; together .*\. Lower --batch-tokens, or set --recompute and --dtype bfloat16\.$",
            task.Fault());
        Assert.StartsWith("Memory: frozen weights ", Assert.Single(task.Printed), StringComparison.Ordinal);
        Assert.False(Directory.Exists(task.RunPath));
    }

    [Fact]
    public void Less_memory_is_needed_with_recomputation_and_with_bfloat16()
    {
        var (model, options) = (models.DirectoryOf("shapes"), new TrainingTask(models).Request.Options with { BatchTokens = 4096 });
        var plain = TrainingMemory.Of(model, options, TorchSharp.torch.ScalarType.Float32);
        Assert.True(TrainingMemory.Of(model, options with { Recomputes = true },
            TorchSharp.torch.ScalarType.Float32).Inner < plain.Inner / 2);
        Assert.Equal(plain.Frozen / 2, TrainingMemory.Of(model, options, TorchSharp.torch.ScalarType.BFloat16).Frozen);
    }

    [Fact]
    public void A_full_disk_is_refused_before_anything_is_written()
    {
        string? asked = null;
        var task = new TrainingTask(models)
        {
            FreeDisk = folder =>
            {
                asked = folder;
                return 1 << 20;
            },
        };
        task.Request = task.Request with { Output = Path.Combine(task.Folder, "not", "yet", "there") };
        Assert.Matches(
            @"^Checkpoints and the result need .* of disk, and 1\.0 MiB are free at .*\. Free some space, or name another --output",
            task.Fault());
        Assert.Equal(task.Folder, asked);
        Assert.False(Directory.Exists(Path.Combine(task.Folder, "not")));
    }

    [Fact]
    public void Places_that_are_taken_are_refused()
    {
        var task = new TrainingTask(models);
        File.WriteAllText(task.Request.Output, "a file");
        Assert.Contains($"{task.Request.Output} exists. Name another --output, or remove it.", task.Fault(), StringComparison.Ordinal);
        File.Delete(task.Request.Output);
        Directory.CreateDirectory(task.Request.Output);
        Assert.Contains($"{task.Request.Output} exists.", task.Fault(), StringComparison.Ordinal);
        Directory.Delete(task.Request.Output);
        task.Request = task.Request with { ExportOpenFlamingo = task.Examples };
        Assert.Contains($"{task.Examples} exists. Name another file for --export-openflamingo", task.Fault(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_that_OpenFlamingo_cannot_compute_is_refused_before_the_training()
    {
        var task = new TrainingTask(models, "idefics");
        task.Request = task.Request with { ExportOpenFlamingo = Path.Combine(task.Folder, "checkpoint.pt") };
        Assert.Contains("IDEFICS", task.Fault(), StringComparison.Ordinal);
        Assert.Empty(task.Printed);
    }

    [Fact]
    public void Broken_samples_are_counted_named_and_passed_over()
    {
        var task = new TrainingTask(models, examples: 40);
        File.AppendAllLines(task.Examples, ["", "no json", """{"segments":[{"text":"no picture"}]}"""]);
        File.WriteAllText(Path.Combine(task.Folder, "bad.png"), "no picture");
        File.AppendAllText(task.Examples, """{"segments":[{"picture":"bad.png"},{"text":"a word"}]}""");
        Assert.True(task.Run());
        var report = Assert.Single(task.Printed, line => line.Contains(" samples read, ", StringComparison.Ordinal));
        Assert.StartsWith("43 samples read, 3 broken (", report, StringComparison.Ordinal);
        Assert.All(["1 broken JSON", "1 without pictures", "1 undecodable picture", "examples.jsonl", "line 43"],
            words => Assert.Contains(words, report, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(40, 20)]
    [InlineData(0, 30)]
    public void Too_many_pictures_that_are_none_end_the_run(int good, int bad)
    {
        var task = new TrainingTask(models, examples: good);
        File.WriteAllText(Path.Combine(task.Folder, "bad.png"), "no picture");
        File.AppendAllLines(task.Examples, ["", .. Enumerable.Repeat("""{"segments":[{"picture":"bad.png"},{"text":"a word"}]}""", bad)]);
        Assert.StartsWith("Too many samples are broken: ", task.Fault(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_may_end_by_its_time()
    {
        var task = new TrainingTask(models);
        task.Request = task.Request with { Options = task.Request.Options with { Steps = 100_000, Limit = TimeSpan.FromSeconds(0.3) } };
        Assert.True(task.Run());
        var steps = task.Losses().Length;
        Assert.InRange(steps, 1, 99_999);
        Assert.True(Directory.Exists(Path.Combine(task.RunPath, $"step-{steps:D8}")));
    }
}
