using System.Text.Json;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Running;

/// <summary>The example prompts of the default model and the original code's answers to them.</summary>
public static class Examples
{
    public static string Prompt(string name) => RepositoryFiles.Path("models", "shapes", "examples", name);

    /// <summary>The golden text and ids of the evaluation episode with this query picture and number of shots.</summary>
    public static (string Text, int[] Ids) Golden(string query, int shots)
    {
        var bytes = File.ReadAllBytes(Prompt(query));
        var evaluation = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");
        var episodes = File.ReadLines(Path.Combine(evaluation, "episodes.jsonl")).Select(
            line => JsonDocument.Parse(line).RootElement).ToArray();
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(evaluation, "golden.json")));
        foreach (var answer in golden.RootElement.GetProperty("answers").EnumerateArray()
            .Where(answer => answer.GetProperty("shots").GetInt32() == shots))
        {
            var picture = episodes[answer.GetProperty("episode").GetInt32()].GetProperty("query").GetProperty("picture").GetString()!;
            if (File.ReadAllBytes(Path.Combine(evaluation, "pictures", picture)).AsSpan().SequenceEqual(bytes))
                return (answer.GetProperty("text").GetString()!,
                    [.. answer.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())]);
        }

        throw new InvalidOperationException($"No golden answer belongs to {query} at {shots} shots.");
    }
}
