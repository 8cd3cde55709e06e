using System.Text.Json;
using Flamingo.Testing;

namespace Flamingo.Training.Tests.Loop;

/// <summary>A run that stops and goes on is the run that was left alone; a run depends on its seed and nothing else.</summary>
public sealed class ResumeTests(Models models)
{
    [Theory]
    [InlineData("mpt7b", 1)]
    [InlineData("llama", 2)]
    public void A_run_that_was_cancelled_twice_gives_the_losses_and_weights_of_one_left_alone(string family, int seed)
    {
        TrainingTask Create()
        {
            var task = new TrainingTask(models, family);
            task.AddPairs();
            task.Request = task.Request with
            {
                Evaluate = TinyShapes.Episodes(task.Folder),
                Options = task.Request.Options with { TeacherWeight = 0.3, Accumulate = 2, Schedule = "cosine", Seed = (ulong)seed },
            };
            return task;
        }

        var alone = Create();
        Assert.True(alone.Run());

        var stopped = Create();
        var random = new Random(seed);
        var (first, second) = (random.Next(1, 6), random.Next(6, 12));
        Assert.False(stopped.Run(cancelAfter: first));
        Assert.Contains(stopped.Printed, line => line.StartsWith($"Stopped after step {first};", StringComparison.Ordinal));
        stopped.Request = stopped.Request with { Resume = true };
        Assert.False(stopped.Run(cancelAfter: second));
        Assert.True(stopped.Run());
        Assert.Contains($"Going on after step {second}.", stopped.Printed);

        Assert.Equal(alone.Metrics(), stopped.Metrics());
        Assert.Equal(4, alone.Lines().Count(line => line.TryGetProperty("accuracy", out _))); // after 0, 4, 8 and 12 steps
        Same(alone.Result(), stopped.Result());
    }

    [Fact]
    public void A_killed_run_goes_on_from_its_last_checkpoint_with_the_losses_of_one_left_alone()
    {
        var (alone, killed) = (new TrainingTask(models), new TrainingTask(models));
        Assert.True(alone.Run());
        killed.Request = killed.Request with { Options = killed.Request.Options with { SaveEvery = 3 } };
        Assert.False(killed.Run(cancelAfter: 7));
        // A kill leaves no checkpoint of step 7, perhaps half of one, and a line that was cut off.
        Directory.Move(Path.Combine(killed.RunPath, "step-00000007"), Path.Combine(killed.RunPath, "step-00000007.unfinished"));
        File.AppendAllText(Path.Combine(killed.RunPath, "metrics.jsonl"), "{\"step\":8,\"los");
        killed.Request = killed.Request with { Resume = true };
        Assert.True(killed.Run());
        Assert.Contains("Going on after step 6.", killed.Printed);
        Assert.Equal(alone.Metrics(), killed.Metrics());
        Same(alone.Result(), killed.Result());
    }

    [Fact]
    public void A_run_that_was_killed_before_its_first_checkpoint_begins_anew()
    {
        var task = new TrainingTask(models);
        Assert.False(task.Run(cancelAfter: 2));
        Directory.Delete(Path.Combine(task.RunPath, "step-00000002"), recursive: true);
        task.Request = task.Request with { Resume = true };
        Assert.True(task.Run());
        Assert.Equal(Enumerable.Range(1, 12), task.Lines().Select(line => line.GetProperty("step").GetInt32()));
    }

    [Fact]
    public void Equal_seeds_give_equal_runs_and_another_seed_another_one()
    {
        var runs = new[] { 1ul, 1ul, 2ul }.Select(seed =>
        {
            var task = new TrainingTask(models);
            task.Request = task.Request with { NewBridge = 3, Options = task.Request.Options with { Seed = seed, Steps = 4 } };
            Assert.True(task.Run());
            return task;
        }).ToList();
        Assert.Equal(runs[0].Metrics(), runs[1].Metrics());
        Same(runs[0].Result(), runs[1].Result());
        Assert.NotEqual(runs[0].Losses(), runs[2].Losses());
    }

    [Fact]
    public void Settings_that_differ_are_refused_with_both_texts_and_another_model_too()
    {
        var task = new TrainingTask(models);
        Assert.False(task.Run(cancelAfter: 3));
        var begun = task.Request;
        Assert.Contains("holds a run of 3 steps. Go on with --resume, or remove the folder.", task.Fault(), StringComparison.Ordinal);

        task.Request = begun with { Resume = true, Options = begun.Options with { LearningRate = 2e-3 } };
        var fault = task.Fault();
        Assert.Contains("LearningRate = 0.001", fault, StringComparison.Ordinal);
        Assert.Contains("LearningRate = 0.002", fault, StringComparison.Ordinal);
        Assert.Contains("Give the same settings, or another --output.", fault, StringComparison.Ordinal);

        task.Request = begun with { Resume = true, Model = models.DirectoryOf("llama") };
        Assert.Contains("had other settings", task.Fault(), StringComparison.Ordinal);

        // A run may be made longer.
        task.Request = begun with { Resume = true, Options = begun.Options with { Steps = 13, SaveEvery = 100 } };
        Assert.True(task.Run());
        Assert.Equal(13, task.Lines()[^1].GetProperty("step").GetInt32());
    }

    private static void Same(Dictionary<string, byte[]> expected, Dictionary<string, byte[]> actual)
    {
        Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
        Assert.All(expected, one => Assert.True(one.Value.AsSpan().SequenceEqual(actual[one.Key]), one.Key));
    }
}
