using Flamingo.Evaluation.Reports;
using Xunit;

namespace Flamingo.Evaluation.Tests.Reports;

public sealed class ReportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    [Theory]
    [InlineData("run.json", "run")]
    [InlineData("run.v2.JSON", "run.v2")]
    [InlineData("run", "run")]
    public void The_page_and_a_plot_of_each_benchmark_lie_beside_the_results(string results, string name)
    {
        var run = new MadeUpRun().Captions(5, 0, 4).Memes();
        var written = Report.WriteBeside(Path.Combine(_folder, results), run.Results, run.Benchmarks,
            cancellation: TestContext.Current.CancellationToken);
        Assert.Equal([$"{name}.html", $"{name}.coco.svg", $"{name}.hateful-memes.svg"], written.Select(Path.GetFileName));
        Assert.Equal(written.Order(), Directory.EnumerateFiles(_folder).Order());
    }

    [Fact]
    public void A_name_with_strange_characters_stays_in_the_folder()
    {
        var run = new MadeUpRun().Captions(5, 4);
        var scores = run.Results.Scores.Select(score => score with { Benchmark = "../a b" }).ToList();
        var written = Report.WriteBeside(Path.Combine(_folder, "run.json"), run.Results with { Scores = scores }, run.Benchmarks,
            cancellation: TestContext.Current.CancellationToken);
        Assert.Equal(Path.Combine(_folder, "run.---a-b.svg"), written[1]);
    }

    [Fact]
    public void An_earlier_report_stays_whole_where_a_new_one_fails()
    {
        File.WriteAllText(Path.Combine(_folder, "run.html"), "earlier");
        var run = new MadeUpRun().Captions(5, 4);
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() =>
            Report.WriteBeside(Path.Combine(_folder, "run.json"), run.Results, run.Benchmarks, cancellation: stop.Token));
        Assert.Equal("earlier", File.ReadAllText(Path.Combine(_folder, "run.html")));
        Assert.Single(Directory.EnumerateFiles(_folder));
    }

    [Fact]
    public void Published_scores_are_those_of_the_papers_at_the_same_shots()
    {
        var coco = PublishedScores.Of("coco", [0, 32, 64]);
        Assert.Equal(
            ["OpenFlamingo-3B random 74.9 93", "OpenFlamingo-4B random 76.7 95.1", "OpenFlamingo-9B random 79.5 99.5",
                "OpenFlamingo-9B rices 76.8 109", "IDEFICS-9B ? 98", "IDEFICS-9B-instruct ? 127.8", "IDEFICS-80B ? 91.8"],
            coco.Select(score => $"{score.Model} {score.Selection ?? "?"} "
                + string.Join(' ', score.Scores.OrderBy(one => one.Key).Select(one => FormattableString.Invariant($"{one.Value}")))));
        Assert.Equal(73.6, PublishedScores.Of("hateful-memes", [32]).Single(score => score.Selection == "rices").Scores[32]);
        Assert.Equal(52.4, PublishedScores.Of("okvqa", [4]).Single(score => score.Model == "IDEFICS-80B").Scores[4]);
        Assert.Empty(PublishedScores.Of("coco", [1, 2]));
        Assert.Empty(PublishedScores.Of("episodes", [0, 4]));
        // Every model of OpenFlamingo has seven benchmarks and five numbers of shots, and every benchmark is one that can be read.
        Assert.Equal(4 * 7 * 5, PublishedScores.All.Where(score => score.Model.StartsWith("OpenFlamingo", StringComparison.Ordinal))
            .Sum(score => score.Scores.Count));
        Assert.All(PublishedScores.All, score => Assert.Contains(score.Benchmark, Flamingo.Evaluation.Datasets.Benchmarks.Names));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
