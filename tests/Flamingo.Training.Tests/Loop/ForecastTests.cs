using System.Globalization;
using System.Text.RegularExpressions;
using TorchSharp;
using Xunit;

namespace Flamingo.Training.Tests.Loop;

/// <summary>What a run says of memory and speed before its first step is near what it takes.</summary>
[Collection<AloneCollection>]
public sealed class ForecastTests(Models models)
{
    [Fact]
    public void Steps_take_no_more_memory_than_was_stated()
    {
        var task = new TrainingTask(models);
        task.Request = task.Request with { Options = task.Request.Options with { Steps = 3, BatchTokens = 2048 } };
        var before = Private();
        var highest = before;
        new TrainingJob(task.Request, line =>
        {
            if (line.StartsWith("step ", StringComparison.Ordinal)) highest = Math.Max(highest, Private());
        }, TimeProvider.System).Run(TestContext.Current.CancellationToken);
        var stated = TrainingMemory.Of(task.Request.Model, task.Request.Options, torch.ScalarType.Float32);
        // Shuffled samples and features are bounded by what is stated, and these few examples take next to nothing of it.
        var used = stated.Bytes - stated.Data;
        Assert.True(highest - before < used, $"{highest - before} bytes were used, and {used} stated");
    }

    [Fact]
    public void A_step_of_a_larger_model_has_more_operations()
    {
        var small = TrainingWork.Of(models.DirectoryOf("shapes"));
        Assert.InRange(small.PerToken, 4 * 1e6, 6 * 1e7);
        Assert.True(small.PerPicture > 0);
        var match = Regex.Match(small.Forecast(torch.ScalarType.Float32, TimeProvider.System),
            @"^Speed: a token takes .* GFLOP and a picture .*, and this machine multiplies (\d+) GFLOP/s, .*: (\d+) to (\d+) tokens per second\.$");
        Assert.True(match.Success);
        double Figure(int group) => double.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);
        Assert.True(Figure(1) >= 1 && Figure(2) < Figure(3));
    }

    private static long Private() => long.Parse(File.ReadLines("/proc/self/status").Single(
        line => line.StartsWith("RssAnon:", StringComparison.Ordinal))[8..^2].Trim(), CultureInfo.InvariantCulture) << 10;
}
