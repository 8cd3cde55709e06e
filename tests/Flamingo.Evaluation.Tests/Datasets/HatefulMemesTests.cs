using Flamingo.Evaluation.Datasets;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

public sealed class HatefulMemesTests
{
    [Fact]
    public void A_meme_is_asked_in_the_benchmarks_own_words()
    {
        using var files = new CopiedBenchmark("hateful-memes");
        var benchmark = files.Read();
        Assert.Equal((BenchmarkKind.Complete, BenchmarkMetric.RocAuc), (benchmark.Kind, benchmark.Metric));
        Assert.Equal(["yes", "no"], benchmark.Labels);
        var query = benchmark.Queries[1];
        Assert.Equal(("8422", "yes", "yes"), (query.Id, query.Answer, Assert.Single(query.References)));
        Assert.Equal(
            [new PicturePart(files.Path("img", "08422.png")),
                new TextPart($"is an image with: '{query.Question}' written on it. Is it hateful? Answer:")],
            query.Parts);
        Assert.Equal("when it is two large brown hearts", query.Question);
        Assert.Equal(["no", "yes", "no", "yes"], benchmark.Examples.Select(item => item.Answer));
    }

    [Fact]
    public void The_folder_of_pictures_may_be_the_one_above()
    {
        using var files = new CopiedBenchmark("hateful-memes");
        files.Files = files.Files with { Images = files.Path() };
        Assert.Equal(4, files.Read().Queries.Count);
    }

    [Fact]
    public void The_test_split_has_no_labels()
    {
        using var files = new CopiedBenchmark("hateful-memes");
        files.Files = files.Files with { TestAnnotations = files.Path("test.jsonl") };
        Assert.Contains("test.jsonl: The memes have no label, and ROC-AUC needs them. Name a file with labels", files.Fault());
    }

    [Theory]
    [InlineData("\"label\": 1", "\"label\": 2", "dev.jsonl, line 2: label is 2. It is 1 for hateful and 0 for not hateful.")]
    [InlineData("\"label\": 1", "\"label\": \"1\"", "dev.jsonl, line 2: label is a text and not a whole number.")]
    [InlineData("\"label\": 1, ", "", "dev.jsonl, line 2: label is missing.")]
    [InlineData("\"id\": 8422", "\"id\": 8291", "dev.jsonl, line 2: The meme 8291 is there twice.")]
    [InlineData("\"id\": 8422", "\"id\": \"\"", "dev.jsonl, line 2: id is empty.")]
    [InlineData("img/08422.png", "img/1.png", "dev.jsonl, line 2: The picture 1.png is not in ")]
    [InlineData("img/08422.png", "img/../../x.png", "dev.jsonl, line 2: The picture's name ../../x.png leads out of its folder.")]
    [InlineData("img/08422.png", "", "dev.jsonl, line 2: img is empty.")]
    [InlineData("\"text\"", "\"words\"", "dev.jsonl, line 1: text is missing.")]
    [InlineData("{\"id\": 8422", "\"id\": 8422", "dev.jsonl, line 2: The line is not JSON: ")]
    public void A_fault_is_named_with_its_line(string part, string by, string fault)
    {
        using var files = new CopiedBenchmark("hateful-memes");
        files.Replace("dev.jsonl", part, by);
        Assert.Contains(fault, files.Fault());
    }
}
