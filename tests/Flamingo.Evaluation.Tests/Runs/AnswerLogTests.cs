using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Runs;
using Xunit;

namespace Flamingo.Evaluation.Tests.Runs;

/// <summary>A run's answers on disk: what a kill leaves is read again, and another run's answers are never taken.</summary>
public sealed class AnswerLogTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 12, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly Dictionary<string, string> Identity = new() { ["options"] = "4 shots", ["language"] = "abc" };

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    private string File => Path.Combine(_folder, "results.json.answers.jsonl");

    [Theory]
    [InlineData("")]
    [InlineData("{\"answer\": {\"benchm")]
    [InlineData("{\"seconds\":1")]
    public void A_second_start_has_the_whole_answers_and_asks_failures_again(string cut)
    {
        using (var log = Open(Noon))
        {
            log.Add(Answer("a", "x"), TimeSpan.FromSeconds(1));
            log.Add(Answer("b", "") with { Error = "away" }, TimeSpan.FromSeconds(2));
            log.Add(Answer("c", "é 😀") with { Scores = [0.5, -1.25e-7] }, TimeSpan.FromSeconds(3));
        }

        System.IO.File.AppendAllText(File, cut);
        using (var log = Open(Noon.AddHours(1)))
        {
            Assert.Equal(["a", "c"], log.Answers.Keys.Select(key => key.Id).Order());
            Assert.Equal([0.5, -1.25e-7], log.Answers[("coco", Condition, "c")].Scores!);
            Assert.Equal("é 😀", log.Answers[("coco", Condition, "c")].Text);
            Assert.Equal((Noon, TimeSpan.FromSeconds(3)), (log.Started, log.Earlier));
            log.Add(Answer("b", "y"), TimeSpan.FromSeconds(4));
        }

        using var third = Open(Noon.AddHours(2));
        Assert.Equal((3, Noon, TimeSpan.FromSeconds(7)), (third.Answers.Count, third.Started, third.Earlier));
    }

    [Fact]
    public void Another_run_is_refused_and_the_difference_named()
    {
        using (Open(Noon))
        {
        }

        var other = new Dictionary<string, string>(Identity) { ["language"] = "xyz" };
        var refused = Assert.Throws<BenchmarkException>(() => AnswerLog.Open(File, other, restart: false, Noon));
        Assert.Contains("language was abc and is xyz", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--restart", refused.Message, StringComparison.Ordinal);
        using var anew = AnswerLog.Open(File, other, restart: true, Noon);
        Assert.Empty(anew.Answers);
    }

    [Fact]
    public void Two_runs_do_not_write_to_one_file()
    {
        using var first = Open(Noon);
        Assert.Contains("another run", Assert.Throws<BenchmarkException>(() => Open(Noon)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_line_is_named()
    {
        using (Open(Noon))
        {
        }

        System.IO.File.AppendAllText(File, "what?\n");
        Assert.Contains("line 2", Assert.Throws<BenchmarkException>(() => Open(Noon)).Message, StringComparison.Ordinal);
        System.IO.File.WriteAllText(File, "{\"answer\": null}\n");
        Assert.Contains("not the log of a run", Assert.Throws<BenchmarkException>(() => Open(Noon)).Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static Condition Condition { get; } = new(4, 0, 42, RunOptions.Random);

    private static ItemAnswer Answer(string id, string text) => new("coco", "", Condition, id, ["e1", "e2"], text);

    private AnswerLog Open(DateTimeOffset now) => AnswerLog.Open(File, Identity, restart: false, now);
}
