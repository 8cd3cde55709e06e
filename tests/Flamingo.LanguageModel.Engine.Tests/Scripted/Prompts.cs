using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>
/// Prompts written as text: a letter is a token (a = 0), a digit is a picture of that name, and after an i no picture is attended
/// to until the next picture.
/// </summary>
internal static class Prompts
{
    public static SequencePrompt Of(string text, int answer = 8, bool latents = true)
    {
        var keys = text.Where(char.IsDigit).Select(Key).ToList();
        var ids = text.Select(letter => char.IsDigit(letter) ? ScriptedModel.Image : letter - 'a').ToList();
        var pictures = Seen(ids);
        var sent = latents ? keys.Distinct().ToDictionary(key => key, ScriptedModel.Latents) : [];
        return new SequencePrompt(ids, pictures, keys, sent, ids.Count + answer);
    }

    /// <summary>The picture that each token of a whole text attends to, or −1.</summary>
    public static List<int> Seen(IReadOnlyList<int> ids)
    {
        var (seen, pictures, picture) = (new List<int>(), 0, -1);
        foreach (var id in ids)
        {
            if (id == ScriptedModel.Image) picture = pictures++;
            seen.Add(picture);
            if (id == ScriptedModel.Hides) picture = -1;
        }

        return seen;
    }

    /// <summary>Candidates after a prompt, as text that continues it.</summary>
    public static IReadOnlyList<Candidate> Behind(SequencePrompt prompt, IReadOnlyList<IReadOnlyList<int>> candidates) =>
        [.. candidates.Select(ids => new Candidate(ids, [.. Seen([.. prompt.Ids, .. ids]).Skip(prompt.Ids.Count)]))];

    public static string Key(char picture) => "picture " + picture;

    public static RequestTerms Terms(string tenant = "", TimeSpan? pin = null) => new(tenant, pin, 0);
}
