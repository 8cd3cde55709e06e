using Flamingo.Evaluation.Datasets;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

public sealed class ClassFoldersTests
{
    [Fact]
    public void ImageNet_has_a_label_for_every_class()
    {
        using var files = new CopiedBenchmark("imagenet");
        var benchmark = files.Read();
        Assert.Equal((BenchmarkKind.Classify, BenchmarkMetric.Accuracy), (benchmark.Kind, benchmark.Metric));
        // in the order of the folders n01440764, n01443537, n01484850
        Assert.Equal(["ring", "star", "square"], benchmark.Labels);
        Assert.Equal(["ring", "ring", "star", "star", "square", "square"], benchmark.Queries.Select(item => item.References.Single()));
        Assert.Equal("n01440764/ILSVRC2012_val_00000002.JPEG", benchmark.Queries[0].Id);
        Assert.Equal([new PicturePart(files.Path("val", benchmark.Queries[0].Id))], benchmark.Queries[0].Parts);
        Assert.Equal("n01484850/n01484850_11.JPEG", benchmark.Examples[^1].Id);
        Assert.Equal("square", benchmark.Examples[^1].Answer);
    }

    [Theory]
    [InlineData("imagenet_class_index.json")]
    [InlineData("names.json")]
    [InlineData("names.txt")]
    [InlineData("object.json")]
    public void Names_have_several_forms(string file)
    {
        using var files = new CopiedBenchmark("imagenet");
        File.WriteAllText(files.Path("names.txt"), "n01484850\tsquare\n\nn01440764\tring\nn01443537 star\nn09999999\tnot here\n");
        File.WriteAllText(files.Path("object.json"), """{"n01440764": "ring", "n01443537": "star", "n01484850": "square"}""");
        files.Files = files.Files with { ClassNames = files.Path(file) };
        Assert.Equal(["ring", "star", "square"], files.Read().Labels);
    }

    [Fact]
    public void Any_folder_of_classes_will_do()
    {
        using var files = new CopiedBenchmark("imagenet");
        Directory.Move(files.Path("val", "n01440764"), files.Path("val", "great_white_shark"));
        files.Files = new() { Folder = files.Path("val") };
        var benchmark = files.Read();
        Assert.Equal(["great white shark", "n01443537", "n01484850"], benchmark.Labels);
        Assert.Equal((6, 0), (benchmark.Queries.Count, benchmark.Examples.Count));
    }

    [Fact]
    public void A_name_with_commas_is_kept_where_the_folder_is_no_synset()
    {
        using var files = new CopiedBenchmark("imagenet");
        Directory.Move(files.Path("val", "n01440764"), files.Path("val", "a"));
        files.Files = new() { Folder = files.Path("val"), ClassNames = files.Path("names.txt") };
        File.WriteAllText(files.Path("names.txt"), "a red, large\nn01443537 goldfish, Carassius auratus\nn01484850 shark\n");
        Assert.Equal(["red, large", "goldfish", "shark"], files.Read().Labels);
    }

    [Fact]
    public void Two_folders_with_one_name_are_one_label()
    {
        using var files = new CopiedBenchmark("imagenet");
        File.WriteAllText(files.Path("names.json"), """["crane", "star", "crane"]""");
        files.Files = files.Files with { ClassNames = files.Path("names.json") };
        var benchmark = files.Read();
        Assert.Equal(["crane", "star"], benchmark.Labels);
        Assert.Equal(4, benchmark.Queries.Count(item => item.Answer == "crane"));
    }

    [Theory]
    [InlineData("names.json", """["a"]""", "The list has 1 names for 3 folders of classes.")]
    [InlineData("names.json", "7", "names.json: The file is neither an object nor a list.")]
    [InlineData("names.json", """["a", "b", {}]""", "names.json ([2]): The name is an object and neither a text nor a number.")]
    [InlineData("names.json", """{"n01440764": "a"}""", "2 classes have no name, the first of them n01443537.")]
    [InlineData("names.json", """{"n01440764": ""}""", "names.json (n01440764): n01440764 has no name.")]
    [InlineData("names.json", """{"n01440764":""", "names.json, line 1: The file is not valid JSON: ")]
    [InlineData("names.json", """{"n01440764": "a", "n01440764": "b"}""", "names.json (n01440764): n01440764 is there twice.")]
    [InlineData("names.json", """{"\ud800": "a"}""", "names.json: A text is not valid Unicode.")]
    [InlineData("names.txt", "n01440764 a\nn01443537\n", "names.txt, line 2: n01443537 has no name.")]
    [InlineData("names.txt", "n01440764 a\nn01440764 b\n", "names.txt, line 2: n01440764 is there twice.")]
    [InlineData("names.txt", "", "3 classes have no name, the first of them n01440764.")]
    public void A_fault_in_names_is_named(string file, string text, string fault)
    {
        using var files = new CopiedBenchmark("imagenet");
        File.WriteAllText(files.Path(file), text);
        files.Files = files.Files with { ClassNames = files.Path(file) };
        Assert.Contains(fault, files.Fault());
    }

    [Fact]
    public void A_class_without_pictures_and_pictures_without_a_class_are_faults()
    {
        using var files = new CopiedBenchmark("imagenet");
        File.Move(files.Path("val", "n01440764", "ILSVRC2012_val_00000002.JPEG"), files.Path("val", "2.JPEG"));
        File.Move(files.Path("val", "n01440764", "ILSVRC2012_val_00000003.JPEG"), files.Path("val", "n01440764", "readme.txt"));
        Assert.Contains($"{files.Path("val", "n01440764")}: The class has no picture. Put pictures there (", files.Fault());
        foreach (var name in new[] { "n01440764", "n01443537", "n01484850" }) Directory.Delete(files.Path("val", name), recursive: true);
        Assert.Contains($"{files.Path("val")}: The folder has no folders of classes.", files.Fault());
    }
}
