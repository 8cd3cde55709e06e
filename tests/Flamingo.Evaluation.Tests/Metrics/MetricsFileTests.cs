using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Metrics;
using Flamingo.Testing;
using Xunit;

namespace Flamingo.Evaluation.Tests.Metrics;

/// <summary>Our scores are those of the original programs, for each row and overall.</summary>
public class MetricsFileTests
{
    private static string Golden => RepositoryFiles.Path("tests", "reference", "metrics.json");

    [Fact]
    public void Every_score_of_the_original_programs_is_met()
    {
        var sections = MetricsFile.Compare(Golden);
        Assert.Equal(["vqa", "postprocess_vqa", "postprocess_caption", "cider_tokens", "cider", "roc_auc"],
            sections.Select(one => one.Section));
        Assert.Equal([90, 8, 5, 240, 40, 200], sections.Select(one => one.Rows));
        Assert.All(sections, one => Assert.True(one.Largest <= MetricsFile.Tolerance, $"{one.Section}: {one.Largest}, {one.Worst}"));
    }

    [Theory]
    [InlineData("\"overall\": 60.0", "\"overall\": 60.001", "vqa")]
    [InlineData("\"accuracy\": 0.3", "\"accuracy\": 0.4", "vqa")]
    [InlineData("\"answer\": \"blue\"", "\"answer\": \"red\"", "postprocess_vqa")]
    [InlineData("\"score\": 1.9557400658654112", "\"score\": 1.9557500658654112", "cider")]
    [InlineData("\"tokenized_prediction\": \"a small blue cross\"", "\"tokenized_prediction\": \"a small blue\"", "cider_tokens")]
    [InlineData("\"value\": 0.63969", "\"value\": 0.63979", "roc_auc")]
    public void A_changed_score_is_found(string right, string wrong, string section)
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        var text = File.ReadAllText(Golden);
        Assert.Contains(right, text, StringComparison.Ordinal);
        var at = text.IndexOf(right, StringComparison.Ordinal);
        var file = Path.Combine(folder, "metrics.json");
        File.WriteAllText(file, text[..at] + wrong + text[(at + right.Length)..]);
        var worst = Assert.Single(MetricsFile.Compare(file), one => one.Largest > MetricsFile.Tolerance);
        Assert.Equal(section, worst.Section);
    }

    [Theory]
    [InlineData("{", "line 1")]
    [InlineData("{}", "none of the sections")]
    [InlineData("""{"vqa": {"rows": [], "overall": 1}}""", "vqa.rows is empty")]
    [InlineData("""{"vqa": {"rows": [{"prediction": "a", "answers": [], "accuracy": 1}], "overall": 1}}""", "vqa.rows[0].answers is empty")]
    [InlineData("""{"vqa": {"rows": [{"prediction": "a", "accuracy": 1}], "overall": 1}}""", "answers")]
    [InlineData("""{"roc_auc": {"labels": [1, 0], "scores": [1], "value": 1}}""", "2 labels and 1 scores")]
    public void A_damaged_file_is_refused_with_the_place(string text, string said)
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        var file = Path.Combine(folder, "metrics.json");
        File.WriteAllText(file, text);
        var refused = Assert.Throws<BenchmarkException>(() => MetricsFile.Compare(file));
        Assert.Contains(file, refused.Message, StringComparison.Ordinal);
        Assert.Contains(said, refused.Message, StringComparison.Ordinal);
    }
}
