using Flamingo.Evaluation.Datasets;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

public sealed class CaptionFilesTests
{
    [Fact]
    public void Coco_asks_the_test_split_and_draws_shots_from_the_train_split()
    {
        using var files = new CopiedBenchmark("coco");
        var benchmark = files.Read();
        Assert.Equal(("coco", BenchmarkKind.Caption, BenchmarkMetric.Cider, 20),
            (benchmark.Name, benchmark.Kind, benchmark.Metric, benchmark.MaxTokens));
        Assert.Equal(["74", "139"], benchmark.Queries.Select(item => item.Id));
        Assert.Equal(["9", "25", "30", "34", "36"], benchmark.Examples.Select(item => item.Id));
        Assert.Equal([new PicturePart(files.Path("val2014", "COCO_val2014_000000000074.jpg"))], benchmark.Queries[0].Parts);
        Assert.Equal([new PicturePart(files.Path("train2014", "COCO_train2014_000000000009.jpg"))], benchmark.Examples[0].Parts);
        Assert.Equal("A large white star above a large green ring.", benchmark.Examples[0].Answer);
        Assert.Equal(3, benchmark.Queries[0].References.Count);
        Assert.Null(benchmark.Queries[0].Shots);
    }

    [Fact]
    public void References_are_those_of_the_annotations_and_without_them_the_sentences()
    {
        using var files = new CopiedBenchmark("coco");
        var sentences = files.Read().Queries[0].References;
        files.Replace("annotations/captions_val2014.json", sentences[0], "Something else");
        Assert.Equal(["Something else", .. sentences.Skip(1)], files.Read().Queries[0].References);
        files.Files = files.Files with { AnnotationsJson = null };
        Assert.Equal(sentences, files.Read().Queries[0].References);
    }

    [Fact]
    public void Without_training_pictures_there_are_queries_alone()
    {
        using var files = new CopiedBenchmark("coco");
        files.Files = files.Files with { TrainImages = null };
        var benchmark = files.Read();
        Assert.Equal((2, 0), (benchmark.Queries.Count, benchmark.Examples.Count));
    }

    [Fact]
    public void Flickr30k_knows_pictures_by_their_file_names()
    {
        using var files = new CopiedBenchmark("flickr30k");
        var benchmark = files.Read();
        Assert.Equal(["1000124471", "1000132390"], benchmark.Queries.Select(item => item.Id));
        Assert.Equal(3, benchmark.Examples.Count);
        Assert.All(benchmark.Queries, item => Assert.Equal(2, item.References.Count));
        Assert.EndsWith(" .", benchmark.Examples[0].Answer, StringComparison.Ordinal);
    }

    // MMPretrain's conversion numbers pictures and names their files
    [Fact]
    public void Annotations_may_number_pictures_in_their_own_way()
    {
        using var files = new CopiedBenchmark("flickr30k");
        File.WriteAllText(files.Path("dataset_flickr30k_coco_style.json"), """
            {"annotations": [{"image_id": 1, "caption": "one"}, {"image_id": 2, "caption": "two"}, {"image_id": 2, "caption": "zwei"}],
             "images": [{"id": 1, "file_name": "1000124471.jpg"}, {"id": 2, "file_name": "images/1000132390.jpg"}]}
            """);
        Assert.Equal([["one"], ["two", "zwei"]], files.Read().Queries.Select(item => item.References));
    }

    [Fact]
    public void A_missing_picture_is_named_with_its_entry()
    {
        using var files = new CopiedBenchmark("coco");
        File.Delete(files.Path("val2014", "COCO_val2014_000000000139.jpg"));
        Assert.Equal($"{files.Path("dataset_coco.json")}, line 1 (images[8]): The picture COCO_val2014_000000000139.jpg is not in "
            + $"{files.Path("val2014")}. Put it there, name the right folder, or take the entry out.", files.Fault());
    }

    [Fact]
    public void A_picture_of_the_test_split_without_captions_is_a_fault()
    {
        using var files = new CopiedBenchmark("coco");
        File.WriteAllText(files.Path("annotations", "captions_val2014.json"), """{"annotations": [{"image_id": 74, "caption": "x"}]}""");
        Assert.Contains("(images[8]): The picture 139 (COCO_val2014_000000000139.jpg) has no caption in ", files.Fault());
    }

    [Fact]
    public void Annotations_of_a_test_split_have_no_references()
    {
        using var files = new CopiedBenchmark("coco");
        File.WriteAllText(files.Path("annotations", "captions_val2014.json"), """{"images": [{"id": 74, "file_name": "x.jpg"}]}""");
        Assert.Contains("captions_val2014.json: The file has no list 'annotations', so CIDEr has no references.", files.Fault());
    }

    [Theory]
    [InlineData("\"cocoid\": 139", "\"cocoid\": 74", "(images[8]): The picture 74 is there twice.")]
    [InlineData("\"cocoid\": 139", "\"cocoid\": null", "(images[8]): cocoid is missing.")]
    [InlineData("\"cocoid\": 139", "\"cocoid\": [139]", "(images[8].cocoid): cocoid is a list and neither a text nor a number.")]
    [InlineData("COCO_val2014_000000000139.jpg", "../../etc/passwd", "The picture's name ../../etc/passwd leads out of its folder.")]
    [InlineData("COCO_val2014_000000000139.jpg", "/etc/passwd", "The picture's name /etc/passwd leads out of its folder.")]
    [InlineData("COCO_val2014_000000000139.jpg", "a\\\\..\\\\b.jpg", "The picture's name a\\..\\b.jpg leads out of its folder.")]
    [InlineData("COCO_val2014_000000000139.jpg", "a\\u0000b.jpg", "leads out of its folder.")]
    [InlineData("\"raw\": \"A large white star above a large green ring.\"", "\"raw\": 5", "(images[0].sentences[0]): raw is the number 5")]
    [InlineData("\"images\": [", "\"images\": 5, \"other\": [", "dataset_coco.json: images is not a list.")]
    [InlineData("\"images\": [", "\"pictures\": [", "dataset_coco.json: The file has no list 'images'.")]
    [InlineData("\"images\": [", "\"images\": [5, ", "(images[0]): This is the number 5 and not an object.")]
    [InlineData("\"images\": [", "\"images\": [], \"images\": [", "dataset_coco.json: The list images is there twice.")]
    [InlineData("{\"images\"", "[{\"images\"", "dataset_coco.json: The file is not an object with a list 'images'.")]
    [InlineData("{\"images\"", "\uFEFF{\"pictures\"", "dataset_coco.json: The file has no list 'images'.")]
    [InlineData("\"split\": \"train\"", "\"split\": tr", "dataset_coco.json, line 1: The file is not valid JSON: ")]
    public void A_fault_in_the_split_is_named(string part, string by, string fault)
    {
        using var files = new CopiedBenchmark("coco");
        files.Replace("dataset_coco.json", part, by);
        Assert.Contains(fault, files.Fault());
    }
}
