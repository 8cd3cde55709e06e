using System.Text.Json;
using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Metrics;

/// <summary>How far our scores are from those of the original programs, for one section of a <see cref="MetricsFile"/>.</summary>
/// <param name="Section">Name in the file, for example <c>cider</c>.</param>
/// <param name="Rows">Number of rows compared.</param>
/// <param name="Ours">Our score of all rows; null where the section has none.</param>
/// <param name="Theirs">The file's score of all rows.</param>
/// <param name="Largest">Largest difference of a row or of all rows; 1 where a text differs.</param>
/// <param name="Worst">The row of it, with both values; null where nothing differs.</param>
public sealed record MetricsComparison(string Section, int Rows, double? Ours, double? Theirs, double Largest, string? Worst)
{
    /// <summary>Difference of the scores of all rows; null where the section has none.</summary>
    public double? Overall => Ours is { } ours && Theirs is { } theirs ? MetricsFile.Difference(ours, theirs) : null;

    /// <summary>Largest difference of a row; null where rows have no scores of their own.</summary>
    public double? Row { get; init; }
}

/// <summary>
/// Predictions and references with the scores that the original programs gave them (the official VQA evaluation, pycocoevalcap's CIDEr,
/// scikit-learn's ROC-AUC): the format of <c>tests/reference/metrics.json</c>.
/// </summary>
public static class MetricsFile
{
    /// <summary>The largest difference that counts as equal.</summary>
    public const double Tolerance = 1e-6;

    private static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true,
            RespectRequiredConstructorParameters = true,
    };

    /// <exception cref="BenchmarkException">The file is missing, damaged or incomplete.</exception>
    public static IReadOnlyList<MetricsComparison> Compare(string file)
    {
        var content = Read(file);
        var sections = new List<MetricsComparison>();
        if (content.Vqa is { } vqa) sections.Add(Compare("vqa", vqa.Rows.Select(row =>
            (VqaAccuracy.Of(row.Prediction, row.Answers), row.Accuracy, Shown(row.Prediction))), 100, vqa.Overall));
        if (content.PostprocessVqa is { } answers) sections.Add(Texts(
            "postprocess_vqa", answers.Select(row => (GeneratedText.Answer(row.Generated), row.Answer, row.Generated))));
        if (content.PostprocessCaption is { } captions) sections.Add(Texts(
            "postprocess_caption", captions.Select(row => (GeneratedText.Caption(row.Generated), row.Caption, row.Generated))));
        if (content.Cider is { } cider)
        {
            sections.Add(Texts("cider_tokens",
                Tokens([.. cider.Rows.SelectMany(row => row.References)], [.. cider.Rows.SelectMany(row => row.TokenizedReferences)])
                    .Concat(Tokens(
                        [.. cider.Rows.Select(row => row.Prediction)], [.. cider.Rows.Select(row => row.TokenizedPrediction)]))));
            var scores = Cider.OfTexts(
                [.. cider.Rows.Select(row => row.Prediction)], [.. cider.Rows.Select(IReadOnlyList<string> (row) => row.References)]);
            sections.Add(Compare("cider", cider.Rows.Zip(scores, (row, score) => (score, row.Score, Shown(row.Prediction))), 1,
                cider.Overall));
        }

        if (content.RocAuc is { } roc)
        {
            var ours = RocAuc.Of([.. roc.Labels.Select(label => label != 0)], roc.Scores);
            sections.Add(new("roc_auc", roc.Labels.Length, ours, roc.Value, Difference(ours, roc.Value), null));
        }

        return sections.Count > 0 ? sections : throw new BenchmarkException(
            $"{file} has none of the sections vqa, postprocess_vqa, postprocess_caption, cider and roc_auc, so there is nothing "
                + "to compare.");
    }

    // The score of all rows is their mean times the scale.
    private static MetricsComparison Compare(
        string section, IEnumerable<(double Ours, double Theirs, string Row)> rows, double scale, double overall)
    {
        (double Ours, double Theirs, string Row)[] all = [.. rows];
        var worst = all.MaxBy(row => Difference(row.Ours, row.Theirs));
        var mean = scale * all.Average(row => row.Ours);
        var largest = Difference(worst.Ours, worst.Theirs);
        return new(section, all.Length, mean, overall, Math.Max(largest, Difference(mean, overall)),
            largest > 0 ? FormattableString.Invariant($"{worst.Row}: {worst.Ours} here, {worst.Theirs} in the file") : null)
        {
            Row = largest,
        };
    }

    private static MetricsComparison Texts(string section, IEnumerable<(string Ours, string Theirs, string Row)> rows)
    {
        (string Ours, string Theirs, string Row)[] all = [.. rows];
        var different = all.Where(row => row.Ours != row.Theirs).ToArray();
        return new(section, all.Length, null, null, different.Length > 0 ? 1 : 0,
            different.Length == 0 ? null
                : $"{Shown(different[0].Row)}: {Shown(different[0].Ours)} here, {Shown(different[0].Theirs)} in the file")
        {
            Row = different.Length > 0 ? 1 : 0,
        };
    }

    // CIDEr also counts the parts of a token with a no-break space, so these are compared.
    private static IEnumerable<(string Ours, string Theirs, string Row)> Tokens(string[] captions, string[] tokenized) =>
        CaptionTokenizer.SplitAll(captions).Select((words, index) => (string.Join(' ', words),
            string.Join(' ', tokenized[index].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), captions[index]));

    // A score that is no number on one side alone is as different as can be.
    internal static double Difference(double ours, double theirs) =>
        ours.Equals(theirs) ? 0 : double.IsNaN(ours - theirs) ? double.PositiveInfinity : Math.Abs(ours - theirs);

    private static string Shown(string text) => $"\"{text.ReplaceLineEndings("\\n")}\"";

    private static Content Read(string file)
    {
        try
        {
            var content = JsonSerializer.Deserialize<Content>(File.ReadAllText(file), Format)
                ?? throw new BenchmarkException($"{file} is null, where an object with sections is expected.");
            Check(content, file);
            return content;
        }
        catch (JsonException damaged)
        {
            throw new BenchmarkException($"{file}, line {damaged.LineNumber + 1}, {damaged.Path}: {damaged.Message} "
                + "The format is that of tests/reference/metrics.json.", damaged);
        }
        catch (Exception missing) when (missing is IOException or UnauthorizedAccessException)
        {
            throw new BenchmarkException($"{file} cannot be read: {missing.Message}", missing);
        }
    }

    private static void Check(Content content, string file)
    {
        string[] faults =
        [
            .. content.Vqa is { Rows.Length: 0 } ? ["vqa.rows is empty. Add a row or leave the section out."] : Array.Empty<string>(),
            .. content.Cider is { Rows.Length: 0 } ? ["cider.rows is empty. Add a row or leave the section out."] : Array.Empty<string>(),
            .. (content.Vqa?.Rows ?? []).Index().Where(row => row.Item.Answers.Length == 0)
                .Select(row => $"vqa.rows[{row.Index}].answers is empty. Give the answers of people."),
            .. (content.Cider?.Rows ?? []).Index().Where(row => row.Item.References.Length == 0)
                .Select(row => $"cider.rows[{row.Index}].references is empty. Give at least one caption."),
            .. (content.Cider?.Rows ?? []).Index().Where(row => row.Item.References.Length != row.Item.TokenizedReferences.Length)
                .Select(row => $"cider.rows[{row.Index}] has {row.Item.References.Length} references and "
                    + $"{row.Item.TokenizedReferences.Length} tokenized_references. Give one for each."),
            .. content.RocAuc is { } roc && roc.Labels.Length != roc.Scores.Length
                ? [$"roc_auc has {roc.Labels.Length} labels and {roc.Scores.Length} scores. Give one score for each label."]
                    : Array.Empty<string>(),
        ];
        if (faults.Length > 0) throw new BenchmarkException(
            $"{file}: {string.Join(' ', faults.Take(10))}{(faults.Length > 10 ? $" There are {faults.Length - 10} faults more." : "")}");
    }

    private sealed record Content
    {
        public Section<VqaRow>? Vqa { get; init; }
        public AnswerRow[]? PostprocessVqa { get; init; }
        public CaptionRow[]? PostprocessCaption { get; init; }
        public Section<CiderRow>? Cider { get; init; }
        public RocRows? RocAuc { get; init; }
    }

    private sealed record Section<T>(T[] Rows, double Overall);

    private sealed record VqaRow(string Prediction, string[] Answers, double Accuracy);

    private sealed record AnswerRow(string Generated, string Answer);

    private sealed record CaptionRow(string Generated, string Caption);

    private sealed record CiderRow(string Prediction, string[] References, string TokenizedPrediction, string[] TokenizedReferences,
        double Score);

    private sealed record RocRows(int[] Labels, double[] Scores, double Value);
}
