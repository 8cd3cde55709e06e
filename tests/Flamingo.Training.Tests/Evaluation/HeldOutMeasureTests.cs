using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Evaluation.Datasets;
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
        var results = Measure(Episodes.Read(Path.Combine(Folder, "episodes.jsonl")).Queries);
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
        var episodes = Episodes.Read(Path.Combine(Folder, "episodes.jsonl")).Queries.Where(item => item.Group == "caption").ToList();
        var shuffled = episodes.Select((episode, index) =>
            episode with { Answer = episodes[(index + 7) % episodes.Count].Answer }).ToList();
        Assert.InRange(Measure(shuffled)["caption at 0 shots"].Accuracy, 0, 0.1);
    }

    [Fact]
    public void A_picture_that_is_none_is_named()
    {
        var file = TinyShapes.Episodes(models.NewFolder());
        File.WriteAllText(Path.Combine(Path.GetDirectoryName(file)!, "2.png"), "no picture");
        var fault = Assert.Throws<CheckpointException>(() => Measure(Episodes.Read(file).Queries)).Message;
        Assert.Contains("2.png", fault, StringComparison.Ordinal);
        Assert.Contains("take its episode out", fault, StringComparison.Ordinal);
    }

    private IReadOnlyDictionary<string, (double Accuracy, int Count)> Measure(IReadOnlyList<BenchmarkItem> episodes)
    {
        var model = models.DirectoryOf("shapes");
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        using var source = new FeatureSource(model, ScalarType.Float32, new FeatureOptions());
        return new HeldOutMeasure(model.Config, new BridgeNetwork(model.Config, weights), models.TokenizerOf("shapes"), source.Read)
            .Run(episodes, TestContext.Current.CancellationToken);
    }
}
