using Flamingo.Evaluation.Datasets;
using Flamingo.Testing;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

public sealed class EpisodesTests : IDisposable
{
    private static readonly string Shapes = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    [Fact]
    public void The_shapes_are_480_episodes_with_their_own_shots()
    {
        var benchmark = Benchmarks.Read("episodes", new BenchmarkFiles { Folder = Shapes });
        Assert.Equal((BenchmarkKind.Complete, BenchmarkMetric.ExactMatch), (benchmark.Kind, benchmark.Metric));
        Assert.Equal(Enumerable.Range(0, 480).Select(id => $"{id}"), benchmark.Queries.Select(item => item.Id));
        Assert.Empty(benchmark.Examples);
        Assert.Equal(
            ["caption 0", "vqa 1", "comparison 1", "naming-object 0 1 2 4 8", "naming-color 0 1 2 4 8", "naming-shape 0 1 2 4 8",
                "naming-count 0 1 2 4 8"],
            benchmark.Queries.Select(item => $"{item.Group} {string.Join(' ', item.ShotCounts!)}").Distinct());
        Assert.All(benchmark.Queries, item => Assert.True(File.Exists(Assert.IsType<PicturePart>(item.Parts[0]).File)));
    }

    [Theory]
    [InlineData("vqa", "Question:is there a yellow star? Short answer:", "no", "Question:how many shapes are there? Short answer:", "one")]
    [InlineData("comparison", null, "First.", "Question:same color as the first? Short answer:", "no")]
    [InlineData("naming-object", "This is a", " bate", "This is a", " dowa")]
    public void A_shot_is_divided_into_what_is_asked_and_the_answer(string task, string? asked, string answer, string prompt, string right)
    {
        var item = Benchmarks.Read("episodes", new BenchmarkFiles { Folder = Shapes }).Queries.First(item => item.Group == task);
        var shot = item.Shots![0];
        Assert.Equal((asked, answer), (shot.Parts.OfType<TextPart>().SingleOrDefault()?.Text, shot.Answer));
        Assert.Equal((prompt, right), (item.Parts.OfType<TextPart>().Single().Text, item.References.Single()));
    }

    [Fact]
    public void Retrieval_has_queries_and_a_support_set_in_the_order_of_the_file()
    {
        var benchmark = Benchmarks.Read("retrieval", new BenchmarkFiles { Folder = Shapes });
        Assert.Equal((48, 64), (benchmark.Queries.Count, benchmark.Examples.Count));
        Assert.Equal(("0", " teno", "0538.png"), Flat(benchmark.Queries[0]));
        Assert.Equal(("1", " teno", "0506.png"), Flat(benchmark.Examples[1]));
        Assert.All(benchmark.Examples.Concat(benchmark.Queries), item => Assert.Equal(new TextPart("This is a"), item.Parts[1]));

        static (string, string, string) Flat(BenchmarkItem item) =>
            (item.Id, item.Answer, Path.GetFileName(((PicturePart)item.Parts[0]).File));
    }

    [Fact]
    public void Every_fault_is_named_with_its_line_and_remedy()
    {
        File.WriteAllBytes(Path.Combine(_folder, "a.png"), TinyShapes.Picture(0));
        File.WriteAllLines(Path.Combine(_folder, "episodes.jsonl"),
        [
            """{"task": "t", "shots": [], "query": {"picture": "a.png", "prompt": "Output:"}, "answer": "x"}""",
            "",
            """{"task": "t", "shots": [], "query": {"picture": "b.png", "prompt": "Output:"}, "answer": "x"}""",
            """{"task": "t", "shots": [], "query": {"picture": "../a.png", "prompt": "Output:"}, "answer": "x"}""",
            """{"task": "t", "shots": [{"picture": "a.png"}], "query": {"picture": "/etc/passwd", "prompt": "Output:"}, "answer": "x"}""",
            """{"task": "t", "shots": [{"picture": "a.png"}], "query": {"picture": "a.png", "prompt": "Output:"}, "answer": "x"}""",
            """{"task": "t", "shots": {}, "query": {"picture": "a.png", "prompt": "Output:"}}""",
            """{"task": "t", "shots": [], "query": {"pic""",
        ]);
        var fault = Faults("episodes");
        Assert.Contains("The files of episodes have 7 faults:", fault);
        Assert.Contains("episodes.jsonl, line 3 (query): The picture b.png is not in " + _folder, fault);
        Assert.Contains("line 4 (query): The picture's name ../a.png leads out of its folder.", fault);
        Assert.Contains("line 5 (query): The picture's name /etc/passwd leads out of its folder.", fault);
        Assert.Contains("line 6 (shots[0]): text is missing.", fault);
        Assert.Contains("line 7: shots is an object and not a list.", fault);
        Assert.Contains("line 7: answer is missing.", fault);
        Assert.Contains("line 8: The line is not JSON: ", fault);
    }

    [Fact]
    public void New_words_are_asked_for_with_fewer_shots_too()
    {
        File.WriteAllBytes(Path.Combine(_folder, "a.png"), TinyShapes.Picture(0));
        var shots = string.Join(", ", Enumerable.Repeat("""{"picture": "a.png", "text": "This is a b"}""", 5));
        File.WriteAllLines(Path.Combine(_folder, "other.jsonl"), new[] { "naming-object", "vqa" }.Select(task =>
            $$"""{"task": "{{task}}", "shots": [{{shots}}], "query": {"picture": "a.png", "prompt": "This is a"}, "answer": " b"}"""));
        Assert.Equal([[0, 1, 2, 4], [5]], Episodes.Read(Path.Combine(_folder, "other.jsonl")).Queries.Select(item => item.ShotCounts!));
    }

    [Theory]
    [InlineData("", "episodes.jsonl: The file is empty.")]
    [InlineData("[]", "line 1: This is a list and not an object.")]
    [InlineData("""{"task": 7}""", "line 1: task is the number 7 and not a text.")]
    [InlineData("""{"task": "vqa", "answer": "x", "query": {"picture": "0.png", "prompt": ""}}""", "line 1: shots is missing.")]
    [InlineData("""{"task": "vqa", "answer": "x", "shots": [], "query": {"picture": ""}}""", "line 1 (query): picture is empty.")]
    public void A_file_without_episodes_is_refused(string text, string fault)
    {
        File.WriteAllText(Path.Combine(_folder, "episodes.jsonl"), text);
        Assert.Contains(fault, Faults("episodes"));
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        Assert.Contains($"{_folder}/retrieval.json: The file does not exist. Correct the path.", Faults("retrieval"));
        Assert.Contains("The folder of DIR does not exist.", Assert.Throws<BenchmarkException>(
            () => Benchmarks.Read("episodes", new BenchmarkFiles { Folder = _folder + "/nowhere" })).Message);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Faults(string name) =>
        Assert.Throws<BenchmarkException>(() => Benchmarks.Read(name, new BenchmarkFiles { Folder = _folder })).Message;
}
