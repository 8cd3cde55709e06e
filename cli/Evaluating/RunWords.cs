using System.CommandLine;
using System.Reflection;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Cli.Evaluating;

/// <summary>Describes a run so that somebody else can repeat it.</summary>
internal static class RunWords
{
    public static RunDescription Describe(
        ParseResult parsed, Benchmark benchmark, RunOptions options, FlamingoModel model, DateTimeOffset started, TimeSpan elapsed) => new(
        "flamingo " + string.Join(' ', WithoutKey([.. parsed.Tokens.Select(token => token.Value)]).Select(Quoted)),
        typeof(RunWords).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown",
        model.Language.ModelId,
        new Dictionary<string, string>
        {
            ["vision"] = model.Vision.WeightsDigest, ["resampler"] = model.Resampler.WeightsDigest,
                ["language"] = model.Language.WeightsDigest,
        },
        Template(benchmark, model.Language.Prompts), Options(options, benchmark, model), started, elapsed);

    private static Dictionary<string, string> Template(Benchmark benchmark, PromptTemplates prompts)
    {
        var (name, template) = benchmark.Kind switch
        {
            BenchmarkKind.Caption => ("caption", prompts.Caption),
            BenchmarkKind.Answer => ("answer", prompts.Answer),
            BenchmarkKind.Classify => ("classify", prompts.Classify),
            _ => ("the benchmark's own", null),
        };
        var words = new Dictionary<string, string> { ["name"] = name };
        if (template is null) return words;
        words["text"] = template.Text;
        if (template.CutAt.Count > 0) words["cut_at"] = string.Join(" | ", template.CutAt);
        return words;
    }

    private static Dictionary<string, string> Options(RunOptions options, Benchmark benchmark, FlamingoModel model)
    {
        var words = JsonSerializer.SerializeToElement(options, Page.Json).EnumerateObject()
            .Where(option => option.Value.ValueKind != JsonValueKind.Null)
                .ToDictionary(option => option.Name, option => option.Value.ToString());
        words["max_tokens"] = $"{options.MaxTokens ?? benchmark.MaxTokens}";
        words["orientation"] = model.Vision.Orientation;
        words["queries"] = $"{benchmark.Queries.Count}";
        words["examples"] = $"{benchmark.Examples.Count}";
        return words;
    }

    // A key is a secret, and the command is written into a file that people pass on.
    private static IEnumerable<string> WithoutKey(string[] words) =>
        words.Index().Select(word => word.Index > 0 && words[word.Index - 1] == Running.KeyOption.Name ? "KEY" : word.Item);

    private static string Quoted(string word) =>
        word.Length > 0 && word.All(character => char.IsLetterOrDigit(character)
            || character is '-' or '_' or '.' or '/' or ':' or '=' or ',' or '{' or '}')
            ? word : $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
