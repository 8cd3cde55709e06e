using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>
/// Where the files of a benchmark are, as the options of <c>flamingo eval</c> have it. The options are called as OpenFlamingo's, without
/// the benchmark's name before and <c>_path</c> behind: <c>--coco_train_image_dir_path</c> is <c>--train-images</c>.
/// </summary>
public sealed record BenchmarkFiles
{
    /// <summary>A folder that holds all, for benchmarks that consist of one.</summary>
    public string? Folder { get; init; }

    /// <summary>The folder of pictures, for benchmarks with one.</summary>
    public string? Images { get; init; }

    public string? TrainImages { get; init; }

    public string? ValImages { get; init; }

    public string? TestImages { get; init; }

    public string? KarpathyJson { get; init; }

    public string? AnnotationsJson { get; init; }

    public string? TrainQuestions { get; init; }

    public string? TrainAnnotations { get; init; }

    public string? TestQuestions { get; init; }

    public string? TestAnnotations { get; init; }

    public string? ClassNames { get; init; }
}

/// <summary>An option that names a file or a folder.</summary>
/// <param name="Name">As on the command line; <c>DIR</c> is an argument without a name.</param>
/// <param name="Help">What is there, as a sentence.</param>
/// <param name="IsFolder">Whether it names a folder and not a file.</param>
/// <param name="Get">The value, or null.</param>
/// <param name="Set">The same files with another value.</param>
public sealed record BenchmarkOption(
    string Name, string Help, bool IsFolder, Func<BenchmarkFiles, string?> Get, Func<BenchmarkFiles, string?, BenchmarkFiles> Set)
{
    public static readonly BenchmarkOption Folder = new(
        "DIR", "The folder of the benchmark.", true, files => files.Folder, (files, value) => files with { Folder = value });

    public static readonly BenchmarkOption Images = new(
        "--images", "Folder of the pictures.", true, files => files.Images, (files, value) => files with { Images = value });

    public static readonly BenchmarkOption TrainImages = new(
        "--train-images", "Folder of the pictures that shots are drawn from.", true,
        files => files.TrainImages, (files, value) => files with { TrainImages = value });

    public static readonly BenchmarkOption ValImages = new(
        "--val-images", "Folder of the validation pictures, COCO's val2014.", true,
        files => files.ValImages, (files, value) => files with { ValImages = value });

    public static readonly BenchmarkOption TestImages = new(
        "--test-images", "Folder of the pictures that are asked about.", true,
        files => files.TestImages, (files, value) => files with { TestImages = value });

    public static readonly BenchmarkOption KarpathyJson = new(
        "--karpathy-json", "Karpathy's split: dataset_coco.json or dataset_flickr30k.json.", false,
        files => files.KarpathyJson, (files, value) => files with { KarpathyJson = value });

    public static readonly BenchmarkOption AnnotationsJson = new(
        "--annotations-json", "Reference captions in COCO's format.", false,
        files => files.AnnotationsJson, (files, value) => files with { AnnotationsJson = value });

    public static readonly BenchmarkOption TrainQuestions = new(
        "--train-questions-json", "Questions that shots are drawn from.", false,
        files => files.TrainQuestions, (files, value) => files with { TrainQuestions = value });

    public static readonly BenchmarkOption TrainAnnotations = new(
        "--train-annotations-json", "What is right for the examples that shots are drawn from.", false,
        files => files.TrainAnnotations, (files, value) => files with { TrainAnnotations = value });

    public static readonly BenchmarkOption TestQuestions = new(
        "--test-questions-json", "Questions that are asked.", false,
        files => files.TestQuestions, (files, value) => files with { TestQuestions = value });

    public static readonly BenchmarkOption TestAnnotations = new(
        "--test-annotations-json", "What is right for the queries.", false,
        files => files.TestAnnotations, (files, value) => files with { TestAnnotations = value });

    public static readonly BenchmarkOption ClassNames = new(
        "--class-names", "Names of the classes, where they are not the names of the folders.", false,
        files => files.ClassNames, (files, value) => files with { ClassNames = value });

    public static IReadOnlyList<BenchmarkOption> All { get; } =
    [
        Folder, Images, TrainImages, ValImages, TestImages, KarpathyJson, AnnotationsJson, TrainQuestions, TrainAnnotations, TestQuestions,
        TestAnnotations, ClassNames,
    ];

    /// <summary>Reports a path that does not exist, or is a file where a folder is needed, or the other way round.</summary>
    internal void Check(BenchmarkFiles files, FaultReport faults)
    {
        if (Get(files) is not { } path || (IsFolder ? Directory.Exists(path) : File.Exists(path))) return;
        var (kind, other) = IsFolder ? ("folder", "file") : ("file", "folder");
        faults.Add(new FilePlace(path), Path.Exists(path) ? $"{Name} names a {kind}, and this is a {other}."
            : $"The {kind} of {Name} does not exist.", $"Name the {kind}: {Help}");
    }
}
