using Flamingo.Evaluation.Datasets;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

public sealed class BenchmarksTests
{
    [Fact]
    public void All_tasks_of_the_command_line_can_be_read()
    {
        Assert.Equal(
            ["coco", "flickr30k", "vqav2", "okvqa", "textvqa", "vizwiz", "hateful-memes", "imagenet", "vl-icl", "episodes", "retrieval"],
            Benchmarks.Names);
        Assert.All(Benchmarks.All, task => Assert.Empty(task.Needed.Intersect(task.Optional)));
        Assert.Equal(BenchmarkOption.All.Select(option => option.Name).Order(),
            Benchmarks.All.SelectMany(task => task.Needed.Concat(task.Optional)).Select(option => option.Name).Distinct().Order());
    }

    [Fact]
    public void An_option_reads_what_it_sets_and_nothing_else()
    {
        foreach (var option in BenchmarkOption.All)
        {
            var files = option.Set(new BenchmarkFiles(), "x");
            Assert.Equal([option], BenchmarkOption.All.Where(other => other.Get(files) is not null));
            Assert.Equal(new BenchmarkFiles(), option.Set(files, null));
        }
    }

    [Fact]
    public void An_unknown_benchmark_is_refused_with_the_names_of_all() =>
        Assert.StartsWith("There is no benchmark nocaps. Name one of coco, flickr30k, ", Fault("nocaps", new()), StringComparison.Ordinal);

    [Fact]
    public void A_missing_option_is_named_with_what_it_is() =>
        Assert.Equal("coco needs --karpathy-json, --val-images. --karpathy-json: Karpathy's split: dataset_coco.json or "
            + "dataset_flickr30k.json. --val-images: Folder of the validation pictures, COCO's val2014.", Fault("coco", new()));

    [Fact]
    public void An_option_of_another_benchmark_is_refused() =>
        Assert.Equal("episodes has no use for --class-names. It knows DIR.",
            Fault("episodes", new() { Folder = "x", ClassNames = "y" }));

    [Fact]
    public void Every_path_that_does_not_fit_is_named()
    {
        using var files = new CopiedBenchmark("coco");
        files.Files = files.Files with
        {
            KarpathyJson = files.Path("val2014"), ValImages = files.Path("dataset_coco.json"), TrainImages = "/no",
        };
        var fault = files.Fault();
        Assert.Contains($"{files.Path("val2014")}: --karpathy-json names a file, and this is a folder.", fault);
        Assert.Contains($"{files.Path("dataset_coco.json")}: --val-images names a folder, and this is a file.", fault);
        Assert.Contains("/no: The folder of --train-images does not exist. Name the folder: ", fault);
    }

    /// <summary>Labels of scores are kept apart: what is generated has no labels, and what is ranked has them.</summary>
    [Theory]
    [InlineData("coco", false)]
    [InlineData("flickr30k", false)]
    [InlineData("vqav2", false)]
    [InlineData("okvqa", false)]
    [InlineData("textvqa", false)]
    [InlineData("vizwiz", false)]
    [InlineData("hateful-memes", true)]
    [InlineData("imagenet", true)]
    [InlineData("vl-icl", false)]
    public void Every_small_benchmark_is_whole(string name, bool isRanked)
    {
        using var files = new CopiedBenchmark(name);
        var benchmark = files.Read();
        Assert.Equal(name, benchmark.Name);
        Assert.Equal(isRanked, benchmark.Labels.Count > 0);
        Assert.NotEmpty(benchmark.Queries);
        Assert.Equal(benchmark.Queries.Count, benchmark.Queries.Select(item => item.Id).Distinct().Count());
        Assert.Equal(benchmark.Examples.Count, benchmark.Examples.Select(item => item.Id).Distinct().Count());
        Assert.True(benchmark.Examples.Count > 0 || benchmark.Queries.All(item => item.Shots is not null));
        foreach (var item in benchmark.Queries.Concat(benchmark.Examples).Concat(benchmark.Queries.SelectMany(item => item.Shots ?? [])))
        {
            Assert.NotEmpty(item.References);
            Assert.All(item.Parts.OfType<PicturePart>(), part => Assert.True(File.Exists(part.File)));
            Assert.Equal(benchmark.Kind == BenchmarkKind.Complete, item.Parts.OfType<TextPart>().Any());
        }

        foreach (var item in benchmark.Examples) Assert.NotEqual("", item.Answer);
    }

    private static string Fault(string name, BenchmarkFiles files) =>
        Assert.Throws<BenchmarkException>(() => Benchmarks.Read(name, files)).Message;
}
