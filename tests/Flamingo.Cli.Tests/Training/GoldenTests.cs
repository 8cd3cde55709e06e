using System.Text.Json.Nodes;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Tests.Running;
using Flamingo.Import;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Training;

/// <summary><c>flamingo train --golden</c>, which replays recorded steps of OpenFlamingo's own training.</summary>
public sealed class GoldenTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-golden-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Three_recorded_steps_hold()
    {
        var run = await FlamingoCommand.RunAsync("train", "--model", Import("mpt7b"), "--golden", Golden());
        run.MustReturn(ExitCode.Done);
        var lines = run.Output.Split('\n');
        Assert.Equal(3, lines.Count(line => line.StartsWith("step ", StringComparison.Ordinal)));
        Assert.Contains("step 2: captions 10.783", run.Output, StringComparison.Ordinal);
        Assert.Contains("largest error of the changed parameters: ", run.Output, StringComparison.Ordinal);
        Assert.Contains("The golden holds.", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("caption_loss", "step 1: the loss of captions")]
    [InlineData("gradient_norm", "step 1: the gradient norm")]
    public async Task Another_figure_is_named_and_returns_3(string figure, string named)
    {
        var golden = Golden(json => json["steps"]![1]![figure] = json["steps"]![1]![figure]!.GetValue<double>() * 1.0003);
        var run = await FlamingoCommand.RunAsync("train", "--model", Import("mpt7b"), "--golden", golden);
        run.MustReturn(ExitCode.GoldenBroken);
        Assert.Contains($"broken: {named}", run.Output, StringComparison.Ordinal);
        Assert.Contains("The golden does not hold: 1 differences.", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_recipe_does_not_arrive_at_the_recorded_weights()
    {
        var golden = Golden(json => json["weight_decay"] = 10.0);
        var run = await FlamingoCommand.RunAsync("train", "--model", Import("mpt7b"), "--golden", golden);
        run.MustReturn(ExitCode.GoldenBroken);
        Assert.Contains("of its elements are within", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Weights_that_should_not_have_moved_are_named()
    {
        const string Name = "perceiver.norm.weight";
        var golden = Golden(json =>
        {
            var changed = json["changed"]!.AsArray();
            changed.Remove(changed.First(name => name!.GetValue<string>() == Name));
        });
        var run = await FlamingoCommand.RunAsync("train", "--model", Import("mpt7b"), "--golden", golden);
        run.MustReturn(ExitCode.GoldenBroken);
        Assert.Contains($"broken: {Name} moved, and should not", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_golden_of_another_model_is_refused()
    {
        var run = await FlamingoCommand.RunAsync("train", "--model", Import("neox"), "--golden", Golden());
        run.MustReturn(ExitCode.Failed);
        Assert.Contains("belongs to another model", run.Error, StringComparison.Ordinal);
    }

    private string Golden(Action<JsonNode>? change = null)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, "golden")).FullName;
        RepositoryFiles.Copy(RepositoryFiles.Path("tests", "reference", "training"), folder);
        var file = Path.Combine(folder, "golden.json");
        var json = JsonNode.Parse(File.ReadAllBytes(file))!;
        change?.Invoke(json);
        File.WriteAllText(file, json.ToJsonString());
        return folder;
    }

    private string Import(string family)
    {
        string Source(string part) => RepositoryFiles.Path("tests", "reference", "families", family, part);
        return OpenFlamingoImport.Run(new OpenFlamingoSource(Source("vision"), Source("language"), Source("checkpoint.pt"), 2),
            Path.Combine(_folder, family), null, TestContext.Current.CancellationToken).Path;
    }
}
