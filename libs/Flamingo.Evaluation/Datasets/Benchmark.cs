namespace Flamingo.Evaluation.Datasets;

/// <summary>How a model is asked.</summary>
public enum BenchmarkKind
{
    /// <summary>With the model's template for captions.</summary>
    Caption,

    /// <summary>With the model's template for questions.</summary>
    Answer,

    /// <summary>By the log-likelihood of each label, with the model's template for labels.</summary>
    Classify,

    /// <summary>
    /// With the texts of the benchmark itself, which are the item's <see cref="BenchmarkItem.Parts"/>: the answer is generated behind them,
    /// or, where the benchmark has <see cref="Benchmark.Labels"/> (Hateful Memes), is the likeliest label behind them.
    /// </summary>
    Complete,
}

/// <summary>How answers are scored.</summary>
public enum BenchmarkMetric
{
    /// <summary>CIDEr of captions, × 100 as in the papers' tables.</summary>
    Cider,

    /// <summary>Accuracy of the official VQA evaluation, in percent.</summary>
    VqaAccuracy,

    /// <summary>Area under the ROC curve of the probability of the first label, in percent.</summary>
    RocAuc,

    /// <summary>Share of items whose best label is right, in percent; also among the best five.</summary>
    Accuracy,

    /// <summary>Share of answers that equal the reference, 0 to 1.</summary>
    ExactMatch,

    /// <summary>Share of answers that are right by <see cref="VlIcl.IsRight"/> for the item's group, 0 to 1.</summary>
    VlIcl,
}

/// <summary>A benchmark as it was read from its publisher's files: what is asked, and the examples that shots are drawn from.</summary>
/// <param name="Name">The name in results, for example <c>coco</c>.</param>
/// <param name="Queries">What is asked, in the order of the file.</param>
/// <param name="Examples">Where shots are drawn from; empty where each query has its own <see cref="BenchmarkItem.Shots"/>.</param>
public sealed record Benchmark(
    string Name, BenchmarkKind Kind, BenchmarkMetric Metric, IReadOnlyList<BenchmarkItem> Queries, IReadOnlyList<BenchmarkItem> Examples)
{
    /// <summary>
    /// The labels that are ranked: of a <see cref="BenchmarkKind.Classify"/> benchmark, and of a <see cref="BenchmarkKind.Complete"/> one
    /// that asks in words of its own. Where there are none, text is generated.
    /// </summary>
    public IReadOnlyList<string> Labels { get; init; } = [];

    /// <summary>Most tokens of an answer: 20 for captions and 5 for answers, as OpenFlamingo has it.</summary>
    public int MaxTokens { get; init; } = 20;
}

/// <summary>One item of a benchmark: what is shown and asked, and what counts as right.</summary>
/// <param name="Id">Unique among the queries, or among the examples, of a benchmark.</param>
/// <param name="Parts">
/// Pictures, and for <see cref="BenchmarkKind.Complete"/> also texts, in the order of the prompt. The answer follows the last part.
/// </param>
/// <param name="References">Right answers: captions, the answers of ten people, or the label. An example needs the first only.</param>
public sealed record BenchmarkItem(string Id, IReadOnlyList<ItemPart> Parts, IReadOnlyList<string> References)
{
    /// <summary>The question of an <see cref="BenchmarkKind.Answer"/> item, or the text on a picture; empty for others.</summary>
    public string Question { get; init; } = "";

    /// <summary>What follows the item where it is a shot; a space before it, if there is one, belongs to it.</summary>
    public string Answer { get; init; } = "";

    /// <summary>The task in the benchmark that a result counts for, for example <c>naming-thing</c>; empty where there is one.</summary>
    public string Group { get; init; } = "";

    /// <summary>The item's own shots in order, to be cut to the first N; null where shots are drawn from the examples.</summary>
    public IReadOnlyList<BenchmarkItem>? Shots { get; init; }

    /// <summary>The numbers of shots with which the item is asked, ascending; null where the run decides.</summary>
    public IReadOnlyList<int>? ShotCounts { get; init; }
}

/// <summary>A picture or a text of an item.</summary>
public abstract record ItemPart;

/// <param name="File">Path of an encoded picture.</param>
public sealed record PicturePart(string File) : ItemPart;

public sealed record TextPart(string Text) : ItemPart;

/// <summary>A benchmark's file is missing, damaged or incomplete; the message names the file, the line where there is one, and the
/// remedy.</summary>
public sealed class BenchmarkException(string message, Exception? inner = null) : Exception(message, inner);
