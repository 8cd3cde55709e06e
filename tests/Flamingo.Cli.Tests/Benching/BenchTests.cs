using System.Text.Json;
using Flamingo.Bench.Figures;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Benching;

public sealed class BenchTests
{
    [Fact]
    public async Task Each_figure_is_one_line_on_standard_output_and_in_the_file()
    {
        using var folder = new TemporaryFolder();
        var finished = (await FlamingoCommand.RunAsync("bench", "--figures", "hit_over_encode", "ttft_cold_over_warm_0_shots", "--repetitions", "1", "--seed", "7", "--output", folder.File("figures.jsonl"))).MustReturn(0);
        var lines = finished.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["ttft_cold_over_warm_0_shots", "hit_over_encode"], lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("figure").GetString()));
        Assert.All(lines, line => Assert.True(JsonDocument.Parse(line).RootElement.GetProperty("value").GetDouble() > 0, line));
        Assert.Equal(lines, await File.ReadAllLinesAsync(folder.File("figures.jsonl"), TestContext.Current.CancellationToken));
        Assert.Contains("hit_over_encode", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_soak_prints_its_findings()
    {
        var finished = (await FlamingoCommand.RunAsync("bench", "--soak", "0.05", "--set", "LanguageModel:MaxSequences=4", "LanguageModel:MaxQueued=2")).MustReturn(0);
        var lines = finished.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(line => line.GetProperty("figure").GetString()!, line => line.GetProperty("value").GetDouble());
        Assert.Equal(7, lines.Count);
        Assert.True(lines["soak_answers"] > 0 && lines["soak_refusals"] > 0, finished.Output);
        Assert.Contains("idle at the end", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task List_names_all_and_measures_nothing()
    {
        var finished = (await FlamingoCommand.RunAsync("bench", "--list")).MustReturn(0);
        Assert.Equal(FigureCatalogue.All.Select(figure => figure.Name), finished.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[0]));
        Assert.Equal("", finished.Error);
    }
}
