using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>Prompts written as text: a letter is a token (a = 0), a digit a picture of that name.</summary>
internal static class Prompts
{
    public static SequencePrompt Of(string text, int answer = 8, bool latents = true)
    {
        var (ids, pictures, keys) = (new List<int>(), new List<int>(), new List<string>());
        foreach (var letter in text)
        {
            if (char.IsDigit(letter)) keys.Add(Key(letter));
            ids.Add(char.IsDigit(letter) ? ScriptedModel.Image : letter - 'a');
            pictures.Add(keys.Count - 1);
        }

        var sent = latents ? keys.Distinct().ToDictionary(key => key, ScriptedModel.Latents) : [];
        return new SequencePrompt(ids, pictures, keys, sent, ids.Count + answer);
    }

    public static string Key(char picture) => "picture " + picture;

    public static RequestTerms Terms(string tenant = "", TimeSpan? pin = null) => new(tenant, pin, 0);
}
