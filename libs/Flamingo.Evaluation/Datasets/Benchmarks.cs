using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>A benchmark that can be read.</summary>
/// <param name="Name">As on the command line and in results.</param>
/// <param name="About">What it asks, and how that is scored.</param>
/// <param name="Needed">Options without which it cannot be read.</param>
/// <param name="Optional">Options that it also knows.</param>
public sealed record BenchmarkTask(
    string Name, string About, IReadOnlyList<BenchmarkOption> Needed, IReadOnlyList<BenchmarkOption> Optional)
{
    internal Func<BenchmarkFiles, FaultReport, Benchmark> Reader { get; init; } = null!;
}

/// <summary>
/// The benchmarks, each read from its publisher's own files. Reading opens no picture, but checks that each one is there.
/// </summary>
public static class Benchmarks
{
    private static readonly BenchmarkOption[] Asked = [BenchmarkOption.TestQuestions, BenchmarkOption.TestImages];

    private static readonly BenchmarkOption[] Shots =
    [
        BenchmarkOption.TestAnnotations, BenchmarkOption.TrainQuestions, BenchmarkOption.TrainAnnotations, BenchmarkOption.TrainImages,
    ];

    public static IReadOnlyList<BenchmarkTask> All { get; } =
    [
        new("coco", "Captions of COCO's pictures in Karpathy's test split; CIDEr.",
            [BenchmarkOption.KarpathyJson, BenchmarkOption.ValImages], [BenchmarkOption.AnnotationsJson, BenchmarkOption.TrainImages])
            { Reader = CaptionFiles.ReadCoco },
        new("flickr30k", "Captions of Flickr30k's pictures in Karpathy's test split; CIDEr.",
            [BenchmarkOption.KarpathyJson, BenchmarkOption.Images], [BenchmarkOption.AnnotationsJson])
            { Reader = CaptionFiles.ReadFlickr30k },
        new("vqav2", "Questions about COCO's pictures; VQA accuracy.", Asked, Shots)
            { Reader = (files, faults) => QuestionFiles.ReadCoco("vqav2", files, faults) },
        new("okvqa", "Questions about COCO's pictures that need knowledge of the world; VQA accuracy.", Asked, Shots)
            { Reader = (files, faults) => QuestionFiles.ReadCoco("okvqa", files, faults) },
        new("textvqa", "Questions about text on pictures; VQA accuracy.", [BenchmarkOption.Images, BenchmarkOption.TestQuestions],
            [BenchmarkOption.TestAnnotations, BenchmarkOption.TrainQuestions, BenchmarkOption.TrainAnnotations])
            { Reader = QuestionFiles.ReadTextVqa },
        new("vizwiz", "Questions that blind people asked about their photographs; VQA accuracy.", Asked, Shots)
            { Reader = QuestionFiles.ReadVizWiz },
        new("hateful-memes", "Whether a meme is hateful, by the likelihood of yes and no; ROC-AUC.",
            [BenchmarkOption.Images, BenchmarkOption.TestAnnotations], [BenchmarkOption.TrainAnnotations]) { Reader = HatefulMemes.Read },
        new("imagenet", "The class of a picture, by the likelihood of every label; top-1 and top-5 accuracy.",
            [BenchmarkOption.Folder], [BenchmarkOption.ClassNames]) { Reader = ClassFolders.Read },
        new("vl-icl", "VL-ICL Bench's tasks with text as the answer; share of right answers by task and shots.",
            [BenchmarkOption.Folder], []) { Reader = VlIcl.Read },
        new("episodes", "Few-shot episodes with shots of their own (episodes.jsonl and pictures); exact match by task and shots.",
            [BenchmarkOption.Folder], []) { Reader = Episodes.Read },
        new("retrieval", "New words, with shots from a support set (retrieval.json and pictures); exact match.",
            [BenchmarkOption.Folder], []) { Reader = Retrieval.Read },
    ];

    public static IReadOnlyList<string> Names { get; } = [.. All.Select(task => task.Name)];

    /// <summary>Reads a benchmark.</summary>
    /// <exception cref="BenchmarkException">
    /// There is no such benchmark, an option is missing or is not one of the benchmark's, or its files have faults: the message names file,
    /// line and remedy of the first faults, and the number of the rest.
    /// </exception>
    public static Benchmark Read(string name, BenchmarkFiles files)
    {
        var task = All.FirstOrDefault(task => task.Name == name)
            ?? throw new BenchmarkException($"There is no benchmark {name}. Name one of {string.Join(", ", Names)}.");
        var missing = task.Needed.Where(option => option.Get(files) is null).Select(option => option.Name).ToList();
        if (missing.Count > 0)
            throw new BenchmarkException($"{name} needs {string.Join(", ", missing)}. "
                + string.Join(' ', task.Needed.Select(option => $"{option.Name}: {option.Help}")));
        var known = task.Needed.Concat(task.Optional).ToHashSet();
        if (BenchmarkOption.All.FirstOrDefault(option => option.Get(files) is not null && !known.Contains(option)) is { } unknown)
            throw new BenchmarkException(
                $"{name} has no use for {unknown.Name}. It knows {string.Join(", ", known.Select(option => option.Name))}.");

        var faults = new FaultReport(name);
        foreach (var option in known) option.Check(files, faults);
        faults.ThrowIfAny();
        var benchmark = task.Reader(files, faults);
        faults.ThrowIfAny();
        return benchmark;
    }
}
