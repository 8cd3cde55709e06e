using Flamingo.Evaluation.Datasets;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

public sealed class VlIclTests
{
    [Fact]
    public void Every_query_has_the_shots_of_its_task()
    {
        using var files = new CopiedBenchmark("vl-icl");
        var benchmark = files.Read();
        Assert.Equal((BenchmarkKind.Complete, BenchmarkMetric.VlIcl, 15), (benchmark.Kind, benchmark.Metric, benchmark.MaxTokens));
        Assert.Equal(
            ["open_mi 0 2 4", "clevr 0 1 2 3", "operator_induction 0 1 2 4", "operator_induction_interleaved 0 1 2 4", "textocr 0 1 2 3",
                "matching_mi 0 2 4 6"],
            benchmark.Queries.Select(item => $"{item.Group} {string.Join(' ', item.ShotCounts!)}").Distinct());
        Assert.Equal(12, benchmark.Queries.Count);
        Assert.All(benchmark.Queries, item => Assert.Equal(item.ShotCounts![^1], item.Shots!.Count));
    }

    [Fact]
    public void Names_are_those_of_the_querys_class_and_of_one_other_in_turn()
    {
        using var files = new CopiedBenchmark("vl-icl");
        foreach (var query in files.Read().Queries.Where(item => item.Group == "open_mi"))
        {
            Assert.Equal("This is a\nAnswer:", Text(query));
            var names = query.Shots!.Select(shot => shot.References.Single()).ToList();
            Assert.Equal([names[0], names[1], names[0], names[1]], names);
            Assert.NotEqual(names[0], names[1]);
            Assert.Contains(query.References.Single(), names);
            Assert.Equal(
                names.Select((name, index) => files.Path("open_mi", "support", $"{name}_{index / 2}.png")),
                query.Shots!.Select(shot => ((PicturePart)shot.Parts[0]).File));
            Assert.All(query.Shots!, shot => Assert.Equal(($" {shot.References[0]}", "This is a\nAnswer:"), (shot.Answer, Text(shot))));
        }
    }

    [Theory]
    [InlineData("operator_induction", 1)]
    [InlineData("operator_induction_interleaved", 2)]
    public void Examples_of_an_operator_have_the_result_for_the_query(string task, int pictures)
    {
        using var files = new CopiedBenchmark("vl-icl");
        var queries = files.Read().Queries.Where(item => item.Group == task).ToList();
        Assert.Equal(["3", "12"], queries.Select(item => item.References.Single()));
        // 3 and 2, 7 and 1, 4 and 4, 9 and 5
        Assert.Equal(["0", "1", "4", "6"], queries[0].Shots!.Select(shot => shot.References.Single()).Order());
        Assert.Equal(["16", "45", "6", "7"], queries[1].Shots!.Select(shot => shot.References.Single()).Order(StringComparer.Ordinal));
        Assert.All(queries.SelectMany(item => item.Shots!.Append(item)),
            item => Assert.Equal(pictures, item.Parts.TakeWhile(part => part is PicturePart).Count()));
    }

    [Fact]
    public void Pairs_that_match_and_pairs_that_do_not_are_shown_in_turn()
    {
        using var files = new CopiedBenchmark("vl-icl");
        var query = files.Read().Queries.First(item => item.Group == "matching_mi");
        Assert.Equal(["yes", "no", "yes", "no", "yes", "no"], query.Shots!.Select(shot => shot.References.Single()));
        Assert.All(query.Shots!, shot => Assert.Equal(2, shot.Parts.OfType<PicturePart>().Count()));
    }

    [Fact]
    public void Shots_are_the_same_every_time_and_differ_among_queries()
    {
        using var files = new CopiedBenchmark("vl-icl");
        var (first, second) = (Drawn(), Drawn());
        Assert.Equal(first, second);
        Assert.True(first.Distinct().Count() > 6);

        List<string> Drawn() =>
            [.. files.Read().Queries.Select(item => $"{item.Group} {string.Join(' ', item.Shots!.Select(shot => shot.Id))}")];
    }

    [Fact]
    public void Tasks_that_are_not_there_are_not_asked()
    {
        using var files = new CopiedBenchmark("vl-icl");
        foreach (var task in new[] { "open_mi", "clevr", "operator_induction", "textocr", "matching_mi" })
            Directory.Delete(files.Path(task), recursive: true);
        Assert.All(files.Read().Queries, item => Assert.Equal("operator_induction_interleaved", item.Group));
        Directory.Delete(files.Path("operator_induction_interleaved"), recursive: true);
        Assert.Contains("The folder has none of the tasks' folders.", files.Fault());
    }

    [Theory]
    [InlineData("open_mi", "dax", "dax", true)]
    [InlineData("open_mi", " Dax\nThis is", "dax", true)]
    [InlineData("open_mi", " Dax. This is", "dax", true)]
    [InlineData("open_mi", "dax.\nThis is", "dax", false)]
    [InlineData("open_mi", "dax and more", "dax", false)]
    [InlineData("open_mi", "a dax", "dax", false)]
    [InlineData("open_mi", "", "dax", false)]
    [InlineData("textocr", "stop\nGO", "STOP", true)]
    [InlineData("textocr", "st. op", "ST", true)]
    [InlineData("clevr", "3", "3", true)]
    [InlineData("clevr", "3 objects", "3", false)]
    [InlineData("operator_induction", "The result is 12, I think", "12", true)]
    [InlineData("operator_induction", "no number", "12", false)]
    [InlineData("operator_induction_interleaved", "12 34", "34", false)]
    [InlineData("matching_mi", "Yes, they do", "yes", true)]
    [InlineData("matching_mi", "no", "yes", false)]
    [InlineData("matching_mi", "perhaps", "no", true)]
    [InlineData("matching_mi", "no.\nyes", "no", true)]
    public void Answers_are_judged_as_the_benchmark_judges_them(string task, string answer, string reference, bool isRight) =>
        Assert.Equal(isRight, VlIcl.IsRight(task, answer, reference));

    [Theory]
    [InlineData("operator_induction/query.json", "\"-\"", "\"/\"", "query.json, line 2 ([0]): operator is /. It is one of + - x.")]
    [InlineData("operator_induction/query.json", "\"operator\"", "\"sign\"", "operator is missing.")]
    [InlineData("operator_induction/support.json", "\"answer\": [", "\"answer\": [1, ", "answer has 4 results.")]
    [InlineData("clevr/query.json", "clevr_q1", "clevr_q0", "The query clevr_q0 is there twice.")]
    [InlineData("clevr/query.json", "clevr/query/0.jpg", "clevr/query/5.jpg", "([0].image[0]): The picture clevr/query/5.jpg is not in ")]
    [InlineData("clevr/query.json", "clevr/query/0.jpg", "../x.jpg", "The picture's name ../x.jpg leads out of its folder.")]
    [InlineData("matching_mi/support.json", "\"diff\"", "\"other\"", "support.json, line 2 ([0]): diff is missing.")]
    [InlineData("open_mi/query.json", "\"classes\"", "\"names\"", "classes is missing.")]
    [InlineData("open_mi/query.json", "\"answer\": \"dax\"", "\"answer\": \"wug\"", "classes do not have wug and another.")]
    [InlineData("open_mi/query.json", "\"question\"", "\"q\"", "question is missing.")]
    public void A_fault_is_named(string file, string part, string by, string fault)
    {
        using var files = new CopiedBenchmark("vl-icl");
        files.Replace(file, part, by);
        Assert.Contains(fault, files.Fault());
    }

    [Fact]
    public void A_task_without_support_is_named()
    {
        using var files = new CopiedBenchmark("vl-icl");
        File.Delete(files.Path("clevr", "support.json"));
        File.WriteAllText(files.Path("textocr", "query.json"), "[]");
        var fault = files.Fault();
        Assert.Contains($"{files.Path("clevr", "support.json")}: The file does not exist. Correct the path.", fault);
        File.WriteAllText(files.Path("clevr", "support.json"), "[]");
        Assert.Contains($"{files.Path("textocr", "query.json")}: The file has no query.", files.Fault());
    }

    private static string Text(BenchmarkItem item) => item.Parts.OfType<TextPart>().Single().Text;
}
