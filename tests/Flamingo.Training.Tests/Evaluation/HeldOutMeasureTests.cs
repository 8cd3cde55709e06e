using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Testing;
using Flamingo.Training.Data;
using Flamingo.Training.Evaluation;
using Flamingo.Training.Network;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Evaluation;

public sealed class HeldOutMeasureTests(Models models)
{
    private static readonly string Folder = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");

    [Fact]
    public void The_shipped_model_has_the_accuracies_of_the_original()
    {
        var results = Measure(Episodes.Read(Path.Combine(Folder, "episodes.jsonl")));
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, "golden.json")));
        var table = golden.RootElement.GetProperty("table").EnumerateObject().ToList();
        Assert.Equal(table.Select(row => row.Name).Order(), results.Keys.Order());
        Assert.All(table, row =>
        {
            Assert.Equal(row.Value.GetProperty("n").GetInt32(), results[row.Name].Count);
            Assert.Equal(row.Value.GetProperty("accuracy").GetDouble(), Math.Round(results[row.Name].Accuracy, 3));
        });
    }

    [Fact]
    public void Shuffled_answers_score_near_zero()
    {
        var episodes = Episodes.Read(Path.Combine(Folder, "episodes.jsonl")).Where(episode => episode.Task == "caption").ToList();
        var shuffled = episodes.Select((episode, index) =>
            episode with { Answer = episodes[(index + 7) % episodes.Count].Answer }).ToList();
        Assert.InRange(Measure(shuffled)["caption at 0 shots"].Accuracy, 0, 0.1);
    }

    [Theory]
    [InlineData("""{"task": "caption", "shots": [], "query": {"picture": "0.png", "prompt": "Output:"}}""", "answer")]
    [InlineData("""{"task": "caption", "shots": [], "query": {"picture": "99.png", "prompt": "Output:"}, "answer": "x"}""", "99.png")]
    [InlineData("""{"task": "caption", "query": {"picture": "0.png", "prompt": "Output:"}, "answer": "x"}""", "shots")]
    [InlineData("""{"task": 7, "shots": [], "query": {"picture": "0.png", "prompt": "Output:"}, "answer": "x"}""", "line 9")]
    [InlineData("""{"task": "caption", "shots""", "line 9")]
    public void A_damaged_episode_is_named_with_its_line(string line, string named)
    {
        var file = TinyShapes.Episodes(models.NewFolder());
        File.AppendAllText(file, line);
        var fault = Assert.Throws<CheckpointException>(() => Episodes.Read(file)).Message;
        Assert.StartsWith($"{file}, line 9, is no episode: ", fault, StringComparison.Ordinal);
        Assert.Contains(named, fault, StringComparison.Ordinal);
    }

    [Fact]
    public void A_picture_that_is_none_is_named()
    {
        var file = TinyShapes.Episodes(models.NewFolder());
        File.WriteAllText(Path.Combine(Path.GetDirectoryName(file)!, "2.png"), "no picture");
        var fault = Assert.Throws<CheckpointException>(() => Measure(Episodes.Read(file))).Message;
        Assert.Contains("2.png", fault, StringComparison.Ordinal);
        Assert.Contains("take its episode out", fault, StringComparison.Ordinal);
    }

    [Fact]
    public void New_words_are_asked_for_with_fewer_shots_too()
    {
        var part = new EpisodePart("picture.png", "text");
        Episode Of(string task, int shots) => new(task, [.. Enumerable.Repeat(part, shots)], part, "x");
        Assert.Equal(
            ["naming-object at 0 shots", "naming-object at 1 shots", "naming-object at 2 shots", "naming-object at 4 shots",
                "vqa at 3 shots"],
            Episodes.Asked([Of("naming-object", 5), Of("vqa", 3)]).Select(one => one.Name));
    }

    private IReadOnlyDictionary<string, (double Accuracy, int Count)> Measure(IReadOnlyList<Episode> episodes)
    {
        var model = models.DirectoryOf("shapes");
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        using var source = new FeatureSource(model, ScalarType.Float32, new FeatureOptions());
        return new HeldOutMeasure(model.Config, new BridgeNetwork(model.Config, weights), models.TokenizerOf("shapes"), source.Read)
            .Run(episodes, TestContext.Current.CancellationToken);
    }
}
