using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Evaluation.Reports;

/// <summary>
/// The results of a run as JSON. <c>{"coco": [{"shots", "trials", "mean", "stddev"}]}</c> is what OpenFlamingo's evaluation writes; for
/// benchmarks of several tasks <c>"task at N shots": {"accuracy", "n"}</c> stands beside it, and <c>"flamingo"</c> has everything else.
/// </summary>
public static class ResultsFile
{
    private static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
            Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    /// <summary>Writes the file beside its place and renames it, so that no half-written results are ever there.</summary>
    public static void Write(string path, EvaluationResults results)
    {
        var content = new JsonObject();
        foreach (var benchmark in results.Scores.Where(score => score.Ablation == RunOptions.None)
            .GroupBy(score => score.Group.Length == 0 ? score.Benchmark : $"{score.Benchmark} {score.Group}"))
            content[benchmark.Key] = new JsonArray([.. benchmark.Select(score => new JsonObject
            {
                ["shots"] = score.Shots,
                ["trials"] = new JsonArray([.. score.Trials.Select(trial => Number(trial.Value))]),
                ["mean"] = Number(score.Mean),
                ["stddev"] = Number(score.StandardDeviation),
            })]);
        foreach (var (name, score) in Tasks(results.Scores))
            content[name] = new JsonObject { ["accuracy"] = Number(Math.Round(score.Mean, 3)),
                ["n"] = score.Trials.Sum(trial => trial.Count) };
        content["flamingo"] = JsonSerializer.SerializeToNode(results, Format);
        var beside = path + ".part";
        File.WriteAllText(beside, content.ToJsonString(Format) + "\n");
        File.Move(beside, path, overwrite: true);
    }

    /// <summary>The scores of benchmarks with several tasks, named as in the table of the shapes' goldens: <c>vqa at 1 shots</c>.</summary>
    public static IEnumerable<(string Name, ShotScore Score)> Tasks(IEnumerable<ShotScore> scores) => scores
        .Where(score => score.Group.Length > 0 && score.Ablation == RunOptions.None)
        .Select(score => ($"{score.Group} at {score.Shots} shots", score));

    /// <exception cref="BenchmarkException">The file is missing, damaged, or not the results of <c>flamingo eval</c>.</exception>
    public static EvaluationResults Read(string path)
    {
        try
        {
            var content = JsonNode.Parse(File.ReadAllText(path))?["flamingo"] ?? throw new BenchmarkException(
                $"{path} has no member \"flamingo\", so it is not a results file of flamingo eval. Name the file of --results.");
            var results = content.Deserialize<EvaluationResults>(Format);
            return results is { Run: not null, Scores: not null, Items: not null }
                && results.Items.All(item => item?.Answer is { Benchmark: not null, Group: not null, Condition: not null, Id: not null,
                    Shots: not null })
                ? results : throw new BenchmarkException($"{path}: \"flamingo\" lacks run, scores or items, or an item lacks its answer. "
                    + "Repeat the run that wrote it.");
        }
        catch (Exception damaged) when (damaged is JsonException or InvalidOperationException)
        {
            throw new BenchmarkException($"{path} cannot be read: {damaged.Message} Repeat the run that wrote it.", damaged);
        }
        catch (Exception missing) when (missing is IOException or UnauthorizedAccessException)
        {
            throw new BenchmarkException($"{path} cannot be read: {missing.Message}", missing);
        }
    }

    // JSON has no number for an undefined score.
    private static JsonNode? Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;
}
