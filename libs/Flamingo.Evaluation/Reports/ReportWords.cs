using System.Globalization;
using System.Text;
using System.Xml;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Evaluation.Reports;

/// <summary>How a report says what a run calls by short names: for readers who do not know these names.</summary>
internal static class ReportWords
{
    /// <summary>How the shots of <see cref="Runs.Condition.Selection"/> were chosen.</summary>
    public static string Selection(string selection) => selection switch
    {
        RunOptions.Random => "random examples",
        RunOptions.Rices => "most similar examples (RICES)",
        RunOptions.Own => "the item's own examples",
        _ => $"support set {selection}",
    };

    /// <summary>The same behind "chosen".</summary>
    public static string Chosen(string selection) => selection switch
    {
        RunOptions.Random => "at random",
        RunOptions.Rices => "by similarity (RICES)",
        RunOptions.Own => "by the benchmark",
        _ => $"from the support set {selection}",
    };

    /// <summary>What was done to the shots, as <see cref="Runs.Condition.Ablation"/> names it.</summary>
    public static string Ablation(string ablation) => ablation switch
    {
        RunOptions.None => "unchanged",
        RunOptions.ShuffledLabels => "answers shuffled",
        RunOptions.BlankPictures => "blank pictures",
        RunOptions.OtherPictures => "pictures of other examples",
        _ => ablation,
    };

    /// <summary>What the pictures and texts that a report shows for shots leave untold.</summary>
    public static string AblationNote(string ablation) => ablation switch
    {
        RunOptions.None => "",
        RunOptions.ShuffledLabels => "The model saw these pictures with the answers of other examples. The right answers are shown here.",
        RunOptions.BlankPictures => "The model saw a blank picture in place of each picture.",
        RunOptions.OtherPictures => "The model saw pictures of other examples with these texts. The right pictures are shown here.",
        _ => $"The examples were changed: {ablation}.",
    };

    /// <summary>Selection and ablation together.</summary>
    public static string Choice(string selection, string ablation) =>
        ablation == RunOptions.None ? Selection(selection) : $"{Selection(selection)}, {Ablation(ablation)}";

    public static string Shots(int shots) => shots switch { 0 => "no examples", 1 => "1 example", _ => $"{shots} examples" };

    /// <summary>The metric's name with its unit.</summary>
    public static string Name(BenchmarkMetric metric) => metric switch
    {
        BenchmarkMetric.Cider => "CIDEr (× 100)",
        BenchmarkMetric.VqaAccuracy => "VQA accuracy (%)",
        BenchmarkMetric.RocAuc => "ROC-AUC (%)",
        BenchmarkMetric.Accuracy => "right answers (%)",
        _ => "share of right answers (0 to 1)",
    };

    /// <summary>What the metric means, in whole sentences.</summary>
    public static string Meaning(BenchmarkMetric metric) => metric switch
    {
        BenchmarkMetric.Cider =>
            "CIDEr compares a caption with captions that people wrote: phrases that the people share, and that are rare elsewhere, count "
            + "most. 0 means nothing in common. The scale has no upper end; good captions of COCO come to about 100.",
        BenchmarkMetric.VqaAccuracy =>
            "Ten people answered each question. An answer counts fully if at least three of them gave it, and partly if one or two did. "
            + "100 is the best.",
        BenchmarkMetric.RocAuc =>
            "The model says how likely the answer \"yes\" is. The score tells how often a case that is one is found likelier than one that "
            + "is none. 50 is guessing, 100 is the best.",
        BenchmarkMetric.Accuracy => "The model chooses one of the given labels. The score is the share of right choices; 100 is the best.",
        BenchmarkMetric.ExactMatch => "An answer is right if it equals the reference. 1 is the best.",
        BenchmarkMetric.VlIcl => "An answer is right by the rule that VL-ICL Bench has for the task. 1 is the best.",
        _ => "",
    };

    /// <summary>A value in the metric's unit; a dash where there is none.</summary>
    public static string Value(BenchmarkMetric metric, double? value) =>
        value is { } number && double.IsFinite(number)
            ? number.ToString(Top(metric) == 1 ? "F3" : "F1", CultureInfo.InvariantCulture) : "–";

    /// <summary>The largest value of the metric; for CIDEr, which has none, that of a good caption.</summary>
    public static double Top(BenchmarkMetric metric) => metric is BenchmarkMetric.ExactMatch or BenchmarkMetric.VlIcl ? 1 : 100;

    public static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    public static string Duration(TimeSpan time) => time switch
    {
        { TotalMinutes: < 1 } => $"{time.TotalSeconds.ToString("0.#", CultureInfo.InvariantCulture)} s",
        { TotalHours: < 1 } => $"{time.Minutes} min {time.Seconds} s",
        _ => $"{(int)time.TotalHours} h {time.Minutes} min",
    };

    /// <summary>A text without the characters that XML and HTML cannot contain: control characters and halves of surrogate pairs.</summary>
    public static string Printable(string text)
    {
        var kept = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            if (rune.Utf16SequenceLength == 2 || XmlConvert.IsXmlChar((char)rune.Value)) kept.Append(rune);
        return kept.ToString();
    }
}
