using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Stages;
using static System.FormattableString;

namespace Flamingo.Gateway.SupportSets;

/// <summary>Validation rules for support sets and for choices from them. Faults are collected, not thrown.</summary>
internal static class SupportSetRules
{
    public const int MostTextCharacters = 4096;
    public const int MostPermutations = 24;
    private static readonly TimeSpan LongestLife = TimeSpan.FromDays(3650);

    // a set name allows the same characters as a tenant name
    public static bool IsName(string name) => name.Length > 0 && TenantName.IsWellFormed(name);

    public static void CheckName(string name, string field, FaultList faults)
    {
        if (!IsName(name))
            faults.Add(new(field,
                "This is not a valid support set name.", $"Send 1 to {TenantName.MostCharacters} characters of A-Z a-z 0-9 . _ -"));
    }

    /// <summary>Checks a set that is to be stored.</summary> <returns>The pictures of the examples, in order.</returns>
    public static List<RequestedPicture> Check(
        PutSupportSet request, FlamingoModel model, SupportSetOptions options, FaultList faults)
    {
        CheckName(request.Name, "name", faults);
        if (request.Examples.Count == 0 || request.Examples.Count > options.MaxExamples)
        {
            faults.Add(new("examples", $"The set has {request.Examples.Count} examples.", $"Send 1 to {options.MaxExamples}."));
            return [];
        }

        if (request.TimeToLive is { } life && !(life > TimeSpan.Zero && life <= LongestLife))
            faults.Add(new(
                "time_to_live", Invariant($"{life.TotalSeconds} s is out of range."),
                Invariant($"Send more than 0 and at most {LongestLife.TotalDays} days, or leave it out.")));
        if (request.ExpectedVersion < 0)
            faults.Add(new("expected_version", "The version is negative.", "Send 0 if the set must not exist yet, or leave it out."));
        var markers = model.Language.PictureMarkers.Append(model.Language.EndOfChunkToken).Distinct().ToList();
        var pictures = new List<RequestedPicture>(request.Examples.Count);
        foreach (var (index, example) in request.Examples.Index())
        {
            pictures.Add(PromptPictures.Read(example.Visual, $"examples[{index}]", model, faults));
            if (example.Text.Length is 0 or > MostTextCharacters)
                faults.Add(
                    new($"examples[{index}].text", $"The text has {example.Text.Length} characters.", $"Send 1 to {MostTextCharacters}."));
            foreach (var marker in markers.Where(marker => example.Text.Contains(marker, StringComparison.Ordinal)))
                faults.Add(new($"examples[{index}].text", $"The text contains '{marker}'.", "Leave it out; the service inserts it."));
        }

        return pictures;
    }

    /// <summary>Checks a choice by the rules that do not need the set.</summary>
    public static void Check(SupportSetChoice? choice, IReadOnlyList<RequestedPicture> query, FlamingoModel model, FaultList faults)
    {
        if (choice is null) return;
        CheckName(choice.Name, "support_set.name", faults);
        if (choice.Version < 0) faults.Add(new("support_set.version", "The version is negative.", "Send 0 to accept any version."));
        var all = choice.Selection == ShotSelection.All;
        if (!Enum.IsDefined(choice.Selection))
            faults.Add(new("support_set.selection", $"{(int)choice.Selection} is not a known selection.",
                "Send ALL, FIRST, RANDOM or RICES."));
        else if (all ? choice.Count != 0 : choice.Count < 1)
            faults.Add(new("support_set.count", $"The choice has {choice.Count} shots.",
                all ? "Leave it out with ALL." : "Send at least 1."));
        if (choice.Selection != ShotSelection.Rices) return;
        if (query.Count == 0)
            faults.Add(new(
                "segments", "RICES selects examples by similarity to the query's last picture, and the query has no picture.",
                "Send a picture, or choose ALL, FIRST or RANDOM."));
        if (model.Vision.PooledWidth == 0)
            faults.Add(new(
                "support_set.selection", "This model has no pooled embedding to compare pictures with.", "Choose ALL, FIRST or RANDOM."));
    }

    /// <summary>Checks a choice by the rules that need the set.</summary>
    public static void Check(
        SupportSetChoice choice, StoredSet set, int queryPictures, int querySegments, int mostPictures, FaultList faults)
    {
        const string field = "support_set.count";
        var shots = choice.Selection == ShotSelection.All ? set.Count : choice.Count;
        if (shots > set.Count)
            faults.Add(new(field, $"{shots} shots are more than the {set.Count} examples of the set.", $"Send at most {set.Count}."));
        else if (shots + queryPictures > mostPictures)
            faults.Add(new(field, $"{shots} shots and {queryPictures} pictures are more than {mostPictures}.", "Choose fewer shots."));
        else if ((2 * shots) + querySegments > PromptRules.MostSegments)
            faults.Add(new(
                field, $"{shots} shots and {querySegments} segments make more than {PromptRules.MostSegments}.", "Choose fewer shots."));
    }

    public static void Check(Ensemble? ensemble, SupportSetChoice? choice, FaultList faults)
    {
        if (ensemble is null) return;
        if (choice is null)
            faults.Add(new("ensemble", "An ensemble permutes the shots of a support set, and the request names no support set.",
                "Send support_set too."));
        if (ensemble.Permutations is < 2 or > MostPermutations)
            faults.Add(new("ensemble.permutations", $"{ensemble.Permutations} is out of range.", $"Send 2 to {MostPermutations}."));
    }
}
