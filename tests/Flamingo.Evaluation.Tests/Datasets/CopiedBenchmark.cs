using Flamingo.Evaluation.Datasets;
using Flamingo.Testing;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

/// <summary>A copy of a benchmark's small files under tests/Flamingo.Evaluation.Tests/Data, which a test may damage.</summary>
internal sealed class CopiedBenchmark : IDisposable
{
    private readonly string _name;

    public CopiedBenchmark(string name)
    {
        _name = name;
        var source = RepositoryFiles.Path("tests", "Flamingo.Evaluation.Tests", "Data", name);
        foreach (var file in Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories))
        {
            var copy = Path(System.IO.Path.GetRelativePath(source, file));
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        Files = FilesOf(name);
    }

    /// <summary>The options that a user gives; a test may give others.</summary>
    public BenchmarkFiles Files { get; set; }

    private string Folder { get; } = Directory.CreateTempSubdirectory().FullName;

    public string Path(params ReadOnlySpan<string> parts) => System.IO.Path.Combine([Folder, .. parts]);

    public Benchmark Read() => Benchmarks.Read(_name, Files);

    /// <summary>What a user is told about files that cannot be read.</summary>
    public string Fault() => Assert.Throws<BenchmarkException>(Read).Message;

    /// <summary>Replaces a part of a file, which must be there.</summary>
    public void Replace(string file, string part, string by)
    {
        var text = File.ReadAllText(Path(file));
        var place = text.IndexOf(part, StringComparison.Ordinal);
        Assert.True(place >= 0, $"{file} has no {part}");
        File.WriteAllText(Path(file), text[..place] + by + text[(place + part.Length)..]);
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private BenchmarkFiles FilesOf(string name) => name switch
    {
        "coco" => new()
        {
            KarpathyJson = Path("dataset_coco.json"), AnnotationsJson = Path("annotations", "captions_val2014.json"),
            TrainImages = Path("train2014"), ValImages = Path("val2014"),
        },
        "flickr30k" => new()
        {
            KarpathyJson = Path("dataset_flickr30k.json"), AnnotationsJson = Path("dataset_flickr30k_coco_style.json"),
            Images = Path("flickr30k-images"),
        },
        "vqav2" => Questions("v2_OpenEnded_mscoco_{0}_questions.json", "v2_mscoco_{0}_annotations.json", "train2014", "val2014"),
        "okvqa" => Questions("OpenEnded_mscoco_{0}_questions.json", "mscoco_{0}_annotations.json", "train2014", "val2014"),
        "textvqa" => new()
        {
            Images = Path("train_images"), TrainQuestions = Path("TextVQA_0.5.1_train.json"),
            TestQuestions = Path("TextVQA_0.5.1_val.json"),
        },
        "vizwiz" => Questions("{0}.json", null, "train", "val"),
        "hateful-memes" => new()
        {
            Images = Path("img"), TrainAnnotations = Path("train.jsonl"), TestAnnotations = Path("dev.jsonl"),
        },
        "imagenet" => new() { Folder = Folder, ClassNames = Path("LOC_synset_mapping.txt") },
        _ => new() { Folder = Folder },
    };

    private BenchmarkFiles Questions(string questions, string? annotations, string train, string test) => new()
    {
        TrainQuestions = Path(questions.Replace("{0}", train, StringComparison.Ordinal)),
        TestQuestions = Path(questions.Replace("{0}", test, StringComparison.Ordinal)),
        TrainAnnotations = annotations is null ? null : Path(annotations.Replace("{0}", train, StringComparison.Ordinal)),
        TestAnnotations = annotations is null ? null : Path(annotations.Replace("{0}", test, StringComparison.Ordinal)),
        TrainImages = Path(train), TestImages = Path(test),
    };
}
