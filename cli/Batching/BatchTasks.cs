using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Ranking;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Cli.Tasks;

namespace Flamingo.Cli.Batching;

/// <summary>
/// Asks what a line of <c>flamingo batch</c> says: <c>{"task": "caption" | "answer" | "classify", "picture": …}</c>, or
/// <c>{"segments": […]}</c> for the tasks generate and rank. docs/bulk.md has every member.
/// </summary>
/// <param name="folder">Folder to which paths of pictures are relative.</param>
internal sealed class BatchTasks(OpenedFlamingo opened, string folder, string tenant)
{
    private const string TaskNames = "caption, answer, classify, generate and rank";

    private static readonly string[] PictureMembers = ["picture", "picture_id", "video", "frames", VisualJson.MaxFrames];

    private static readonly Dictionary<string, ShotSelection> Selections = new(StringComparer.Ordinal)
    {
        ["all"] = ShotSelection.All, ["first"] = ShotSelection.First, ["random"] = ShotSelection.Random, ["rices"] = ShotSelection.Rices,
    };

    private static readonly Dictionary<string, string[]> Members = new(StringComparer.Ordinal)
    {
        ["caption"] = [.. PictureMembers, "examples", "zero_shot", "support_set", "sampling"],
        ["answer"] = [.. PictureMembers, "question", "examples", "zero_shot", "support_set", "sampling"],
        ["classify"] = [.. PictureMembers, "labels", "scoring", "examples", "zero_shot", "support_set", "ensemble"],
        ["generate"] = ["segments", "sampling", "support_set"],
        ["rank"] = ["segments", "candidates", "support_set", "ensemble"],
    };

    /// <returns>The members of the answer.</returns>
    /// <exception cref="FlamingoException">InvalidArgument: the line is wrong. Others as the call has them.</exception>
    public async Task<JsonObject> AskAsync(JsonElement line, CancellationToken cancellation)
    {
        var faults = new List<string>();
        var task = Task(line, faults);
        if (task is not null)
            RefuseOthers(line, "", ["id", "task", .. Members[task]], task, faults);
        Check(faults);
        try
        {
            return task switch
            {
                "generate" => await GenerateAsync(line, faults, cancellation),
                "rank" => await RankAsync(line, faults, cancellation),
                _ => await TaskAsync(task!, line, faults, cancellation),
            };
        }
        catch (FlamingoException refusal) when (refusal.Faults.Count > 0)
        {
            throw FlamingoException.Invalid([.. refusal.Faults.Select(fault => fault with { Field = NameInLine(fault.Field) })],
                refusal.FurtherFaults);
        }
    }

    // The service has the members of a task's prompt one level deeper than a line.
    private static string NameInLine(string field)
    {
        const string Inner = "prompt.";
        return !field.StartsWith(Inner, StringComparison.Ordinal) ? field
            : field[Inner.Length..].Replace("visual", "picture", StringComparison.Ordinal);
    }

    private static string? Task(JsonElement line, List<string> faults)
    {
        if (!line.TryGetProperty("task", out var given))
        {
            if (line.TryGetProperty("segments", out _)) return line.TryGetProperty("candidates", out _) ? "rank" : "generate";
            faults.Add($"task: is missing. Name one of {TaskNames}; a line with segments may leave it out.");
            return null;
        }

        if (given.ValueKind == JsonValueKind.String && Members.ContainsKey(given.GetString()!)) return given.GetString();
        faults.Add($"task: must be one of {TaskNames}, not {given.GetRawText()}.");
        return null;
    }

    private async Task<JsonObject> GenerateAsync(JsonElement line, List<string> faults, CancellationToken cancellation)
    {
        var sampling = Sampling(line, faults);
        var request = new FlamingoRequest(Segments(line, faults), sampling) { Tenant = tenant, SupportSet = SupportSet(line, faults) };
        Check(faults);
        return Parsed(AnswerJson.Write(await opened.Flamingo.CompleteAsync(request, cancellation), sampling, cachedTokens: true));
    }

    private async Task<JsonObject> RankAsync(JsonElement line, List<string> faults, CancellationToken cancellation)
    {
        var request = new FlamingoRankRequest(Segments(line, faults), Strings(line, "candidates", faults))
        {
            Tenant = tenant, SupportSet = SupportSet(line, faults), Ensemble = Ensemble(line, faults),
        };
        Check(faults);
        return Parsed(RankingReport.Json(await opened.Flamingo.RankAsync(request, cancellation), request));
    }

    private async Task<JsonObject> TaskAsync(string task, JsonElement line, List<string> faults, CancellationToken cancellation)
    {
        var visual = Visual(line, "", faults);
        var (examples, supportSet) = (Examples(line, asks: task == "answer", faults), SupportSet(line, faults));
        var question = task == "answer" ? String(line, "question", faults) ?? "" : "";
        var labels = task == "classify" ? Strings(line, "labels", faults) : [];
        var scoring = Scoring(line, faults);
        var ensemble = Ensemble(line, faults);
        var sampling = Sampling(line, faults);
        bool? zeroShot = line.TryGetProperty("zero_shot", out var zero) ? Boolean(zero, "zero_shot", faults) : null;
        Check(faults);
        var prompt = new TaskPrompt(visual!) { Tenant = tenant, Examples = examples, SupportSet = supportSet, ZeroShot = zeroShot };
        return Parsed(task switch
        {
            "caption" => TaskReport.Json(await opened.Tasks.CaptionAsync(new CaptionTask(prompt, sampling), cancellation), sampling),
            "answer" => TaskReport.Json(await opened.Tasks.AnswerAsync(new AnswerTask(prompt, question, sampling), cancellation), sampling),
            _ => TaskReport.Json(await opened.Tasks.ClassifyAsync(
                new ClassifyTask(prompt, labels) { Scoring = scoring, Ensemble = ensemble }, cancellation)),
        });
    }

    private IReadOnlyList<FlamingoSegment> Segments(JsonElement line, List<string> faults)
    {
        var segments = new List<FlamingoSegment>();
        if (line.TryGetProperty("segments", out var list)) PromptFile.ReadSegments(list, folder, segments, faults);
        else faults.Add("segments: is missing. Add a list of {\"picture\": …} and {\"text\": …}.");
        return segments;
    }

    private FlamingoVisual? Visual(JsonElement item, string at, List<string> faults)
    {
        string[] kinds = [.. VisualJson.Kinds, "picture_id"];
        var given = kinds.Where(kind => item.TryGetProperty(kind, out _)).ToArray();
        if (given.Length != 1)
            faults.Add(at + (given.Length == 0 ? "picture: is missing." : $"{string.Join(" and ", given)}: exclude each other.")
                + $" Give exactly one of {string.Join(", ", kinds)}.");
        else if (given[0] != "picture_id") return VisualJson.Read(item, given[0], folder, at.TrimEnd('.'), faults);
        else if (String(item, "picture_id", faults, at) is { } id) return new FlamingoPictureId(id);
        return null;
    }

    private List<TaskExample> Examples(JsonElement line, bool asks, List<string> faults)
    {
        var examples = new List<TaskExample>();
        if (!line.TryGetProperty("examples", out var list)) return examples;
        if (list.ValueKind != JsonValueKind.Array) faults.Add("examples: must be a list.");
        else foreach (var (index, item) in list.EnumerateArray().Index())
            {
                var at = $"examples[{index}]";
                if (item.ValueKind != JsonValueKind.Object)
                {
                    faults.Add($"{at}: must be an object with picture{(asks ? ", question" : "")} and answer.");
                    continue;
                }

                string[] known = asks ? [.. PictureMembers, "question", "answer"] : [.. PictureMembers, "answer"];
                RefuseOthers(item, $"{at}.", known, "an example", faults);
                var isTextAlone = !VisualJson.Kinds.Append("picture_id").Any(kind => item.TryGetProperty(kind, out _));
                examples.Add(new TaskExample(isTextAlone ? null : Visual(item, $"{at}.", faults),
                    asks ? String(item, "question", faults, $"{at}.") ?? "" : "", String(item, "answer", faults, $"{at}.") ?? ""));
            }

        return examples;
    }

    private static SamplingParameters Sampling(JsonElement line, List<string> faults) =>
        line.TryGetProperty("sampling", out var sampling) ? SamplingJson.Read(sampling, faults) : new SamplingParameters();

    private static SupportSetChoice? SupportSet(JsonElement line, List<string> faults)
    {
        if (!line.TryGetProperty("support_set", out var set)) return null;
        if (set.ValueKind != JsonValueKind.Object)
        {
            faults.Add("support_set: must be an object with name, selection (all, first, random or rices), count and seed.");
            return null;
        }

        RefuseOthers(set, "support_set.", ["name", "selection", "count", "seed", "version"], "a support set", faults);
        var selection = set.TryGetProperty("selection", out var how) ? how.ToString() : "all";
        if (!Selections.TryGetValue(selection, out var chosen))
            faults.Add($"support_set.selection: must be all, first, random or rices, not '{selection}'.");
        return String(set, "name", faults, "support_set.") is { } name
            ? new SupportSetChoice(name, chosen, (int)Whole(set, "count", "support_set.", int.MaxValue, faults),
                Whole(set, "seed", "support_set.", ulong.MaxValue, faults),
                (long)Whole(set, "version", "support_set.", long.MaxValue, faults))
            : null;
    }

    private static Ensemble? Ensemble(JsonElement line, List<string> faults)
    {
        if (!line.TryGetProperty("ensemble", out var ensemble)) return null;
        if (ensemble.ValueKind == JsonValueKind.Object)
        {
            RefuseOthers(ensemble, "ensemble.", ["permutations", "seed"], "an ensemble", faults);
            return new Ensemble((int)Whole(ensemble, "permutations", "ensemble.", int.MaxValue, faults),
                Whole(ensemble, "seed", "ensemble.", ulong.MaxValue, faults));
        }

        faults.Add("ensemble: must be an object with permutations and seed.");
        return null;
    }

    private static LabelScoring Scoring(JsonElement line, List<string> faults)
    {
        if (!line.TryGetProperty("scoring", out var scoring)) return LabelScoring.Mean;
        if (scoring.ValueKind == JsonValueKind.String && scoring.GetString() is "mean" or "sum")
            return scoring.GetString() == "sum" ? LabelScoring.Sum : LabelScoring.Mean;
        faults.Add("scoring: must be mean or sum.");
        return LabelScoring.Mean;
    }

    private static bool? Boolean(JsonElement value, string name, List<string> faults)
    {
        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False) return value.GetBoolean();
        faults.Add($"{name}: must be true or false.");
        return null;
    }

    private static ulong Whole(JsonElement item, string name, string at, ulong most, List<string> faults)
    {
        if (!item.TryGetProperty(name, out var value)) return 0;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetUInt64(out var whole) && whole <= most) return whole;
        faults.Add($"{at}{name}: must be a whole number from 0 to {most}.");
        return 0;
    }

    private static string? String(JsonElement item, string name, List<string> faults, string at = "")
    {
        if (item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String) return value.GetString();
        faults.Add($"{at}{name}: must be a string.");
        return null;
    }

    private static IReadOnlyList<string> Strings(JsonElement item, string name, List<string> faults)
    {
        if (item.TryGetProperty(name, out var list) && list.ValueKind == JsonValueKind.Array
            && list.EnumerateArray().All(value => value.ValueKind == JsonValueKind.String))
            return [.. list.EnumerateArray().Select(value => value.GetString()!)];
        faults.Add($"{name}: must be a list of strings.");
        return [];
    }

    private static void RefuseOthers(JsonElement item, string at, string[] known, string what, List<string> faults)
    {
        foreach (var member in item.EnumerateObject().Select(member => member.Name).Except(known))
            faults.Add($"{at}{member}: {what} does not know it. Known are {string.Join(", ", known)}.");
    }

    private static void Check(List<string> faults)
    {
        if (faults.Count > 0) throw new FlamingoException(FlamingoErrorKind.InvalidArgument, string.Join(' ', faults));
    }

    private static JsonObject Parsed(string json) => JsonNode.Parse(json)!.AsObject();
}
