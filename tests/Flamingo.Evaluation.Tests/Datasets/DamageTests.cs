using System.Text;
using Flamingo.Evaluation.Datasets;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

/// <summary>What a user is told of damaged files, whichever the benchmark is.</summary>
public sealed class DamageTests
{
    public static TheoryData<string, string> JsonFiles => new()
    {
        { "coco", "dataset_coco.json" }, { "coco", "annotations/captions_val2014.json" }, { "flickr30k", "dataset_flickr30k.json" },
        { "vqav2", "v2_OpenEnded_mscoco_val2014_questions.json" }, { "vqav2", "v2_mscoco_train2014_annotations.json" },
        { "textvqa", "TextVQA_0.5.1_val.json" }, { "vizwiz", "val.json" }, { "hateful-memes", "dev.jsonl" },
        { "vl-icl", "clevr/support.json" }, { "vl-icl", "open_mi/query.json" },
    };

    [Theory]
    [MemberData(nameof(JsonFiles))]
    public void A_file_that_ends_early_is_named(string benchmark, string file)
    {
        using var files = new CopiedBenchmark(benchmark);
        var bytes = File.ReadAllBytes(files.Path(file));
        File.WriteAllBytes(files.Path(file), bytes[..^(bytes.Length / 3)]);
        var fault = files.Fault();
        Assert.Contains($"{files.Path(file)}, line ", fault);
        Assert.Contains("JSON: ", fault);
    }

    [Theory]
    [MemberData(nameof(JsonFiles))]
    public void An_empty_file_is_named(string benchmark, string file)
    {
        using var files = new CopiedBenchmark(benchmark);
        File.WriteAllText(files.Path(file), "");
        Assert.Contains($"{files.Path(file)}: The file is empty. Fetch the file from its publisher again", files.Fault());
    }

    [Theory]
    [MemberData(nameof(JsonFiles))]
    public void A_file_of_another_kind_is_named(string benchmark, string file)
    {
        using var files = new CopiedBenchmark(benchmark);
        File.WriteAllText(files.Path(file), "<html>Not found</html>");
        Assert.Contains($"{files.Path(file)}, line 1", files.Fault());
        File.WriteAllText(files.Path(file), "7");
        Assert.Contains(files.Path(file), files.Fault());
    }

    [Fact]
    public void The_line_of_a_fault_is_that_of_its_entry()
    {
        using var files = new CopiedBenchmark("vizwiz");
        files.Replace("val.json", "VizWiz_val_00000001.jpg", "VizWiz_val_00000009.jpg");
        var line = File.ReadLines(files.Path("val.json")).Index().Last(one => one.Item == "    {"
            && one.Index < File.ReadLines(files.Path("val.json")).Index().First(other => other.Item.Contains("_00000009.jpg")).Index);
        Assert.Contains($"val.json, line {line.Index + 1} ([1]): The picture VizWiz_val_00000009.jpg is not in ", files.Fault());
        files.Replace("val.json", "VizWiz_val_00000009.jpg\"", "VizWiz_val_00000009.jpg\" 5");
        Assert.Contains($"val.json, line {line.Index + 2}: The file is not valid JSON: ", files.Fault());
    }

    [Fact]
    public void Ten_faults_are_shown_and_the_rest_is_counted()
    {
        using var files = new CopiedBenchmark("flickr30k");
        var images = Enumerable.Range(0, 500).Select(index =>
            $$"""{"filename": "{{index}}.jpg", "split": "test", "sentences": [{"raw": "x"}]}""");
        File.WriteAllText(files.Path("dataset_flickr30k.json"), $"{{\"images\":\n[{string.Join(",\n", images)}]}}");
        files.Files = files.Files with { AnnotationsJson = null };
        var lines = files.Fault().Split('\n');
        Assert.Equal(12, lines.Length);
        Assert.Equal("The files of flickr30k have 500 faults:", lines[0]);
        Assert.StartsWith($"  {files.Path("dataset_flickr30k.json")}, line 11 (images[9]): ", lines[10], StringComparison.Ordinal);
        Assert.Equal("  and 490 more.", lines[11]);
    }

    /// <summary>Whatever is in a file, the reading ends with a benchmark or with a message that names the file.</summary>
    [Theory]
    [MemberData(nameof(JsonFiles))]
    public void A_file_with_any_damage_is_read_or_refused(string benchmark, string file)
    {
        using var files = new CopiedBenchmark(benchmark);
        var (random, whole, refused) = (new Random(16), File.ReadAllBytes(files.Path(file)), 0);
        string[] tokens = ["{", "}", "[", "]", ",", ":", "\"", "null", "-1", "1e400", "\\ud800", "\0", "\u00ff", "..", "true", "\n"];
        for (var round = 0; round < 150; round++)
        {
            var (start, length) = (random.Next(whole.Length), random.Next(3) == 0 ? random.Next(1, 200) : random.Next(4));
            var (token, rest) = (Encoding.Latin1.GetBytes(tokens[random.Next(tokens.Length)]), Math.Min(whole.Length, start + length));
            File.WriteAllBytes(files.Path(file), [.. whole[..start], .. token, .. whole[rest..]]);
            try
            {
                Assert.NotEmpty(files.Read().Queries);
            }
            catch (BenchmarkException exception)
            {
                Assert.Contains(files.Path(""), exception.Message);
                refused++;
            }
        }

        Assert.InRange(refused, 50, 150);
    }

    [Fact]
    public void Memory_is_needed_for_an_entry_and_not_for_the_file()
    {
        using var files = new CopiedBenchmark("flickr30k");
        var small = Allocated();
        var entry = $$"""{"split": "val", "tokens": ["{{new string('x', 1000)}}"]}""";
        var skipped = string.Join(",\n", Enumerable.Repeat(entry, 10_000));
        files.Replace("dataset_flickr30k.json", "{\"images\": [", $"{{\"other\": [{skipped}],\n\"images\": [{skipped},\n");
        Assert.True(new FileInfo(files.Path("dataset_flickr30k.json")).Length > 20_000_000);
        Assert.InRange(Allocated() - small, 0, 8_000_000);

        long Allocated()
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Equal(2, files.Read().Queries.Count);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    /// <summary>Entries and what is skipped may be larger than any buffer, and begin and end anywhere in it.</summary>
    [Fact]
    public void Entries_of_every_size_are_read_and_counted_by_line()
    {
        using var files = new CopiedBenchmark("flickr30k");
        var (random, text, lines) = (new Random(7), new StringBuilder(), new List<int>());
        text.Append(/*lang=json,strict*/ """{"skipped": [{"images": [1, {"deep": "]}"}]}, [[]], "[{"], "dataset": "x", """).Append('\n')
            .Append("\"long\": \"").Append('x', 300_000).Append("\",\n\"images\": [");
        for (var index = 0; index < 200; index++)
        {
            text.Append(index == 0 ? "" : ",").Append('\n', random.Next(1, 4));
            lines.Add(text.ToString().Count(letter => letter == '\n') + 1);
            var raw = $"é{new string('y', Size(random))}";
            text.Append($$"""{"filename": "{{index}}.jpg", "split": "test", "sentences": [{"raw": "{{raw}}"}]}""");
        }

        text.Append("], \"images2\": {\"images\": []}}\n\n");
        File.WriteAllText(files.Path("dataset_flickr30k.json"), text.ToString());
        files.Files = files.Files with { AnnotationsJson = null };
        for (var index = 0; index < 200; index++) File.WriteAllText(files.Path("flickr30k-images", $"{index}.jpg"), "");
        Assert.Equal(Enumerable.Range(0, 200).Select(index => $"{index}"), files.Read().Queries.Select(item => item.Id));
        foreach (var missing in new[] { 0, 3, 199 })
        {
            File.Delete(files.Path("flickr30k-images", $"{missing}.jpg"));
            Assert.Contains($"line {lines[missing]} (images[{missing}]): The picture {missing}.jpg is not in ", files.Fault());
        }

        static int Size(Random random) => random.Next(20) == 0 ? random.Next(60_000, 200_000) : random.Next(1, 3000);
    }
}
