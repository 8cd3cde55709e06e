using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Execution;

/// <summary>
/// The picture that each token of a text sees: the last one at or before it, unless a token between the two hides it
/// (<see cref="TokensConfig.HidesPictures"/>), or −1. Generated tokens see what the prompt's last token sees.
/// </summary>
public static class SeenPictures
{
    /// <param name="ids">A whole text, from its first token on.</param>
    /// <returns>Per token the index of its picture among those of the text.</returns>
    public static int[] Of(IReadOnlyList<int> ids, TokensConfig tokens)
    {
        var (seen, pictures, picture) = (new int[ids.Count], 0, -1);
        foreach (var (position, id) in ids.Index())
        {
            if (id == tokens.Image.Id) picture = pictures++;
            seen[position] = picture;
            if (Hides(id, tokens)) picture = -1;
        }

        return seen;
    }

    /// <summary>The same for a text without pictures that follows a prompt.</summary>
    public static int[] Behind(SequencePrompt prompt, IReadOnlyList<int> ids, TokensConfig tokens)
    {
        var (seen, before) = (new int[ids.Count], prompt.Ids[^1]);
        var picture = prompt.Pictures[^1];
        foreach (var (position, id) in ids.Index())
        {
            if (Hides(before, tokens)) picture = -1;
            (seen[position], before) = (picture, id);
        }

        return seen;
    }

    private static bool Hides(int id, TokensConfig tokens) => tokens.HidesPictures?.Contains(id) ?? false;
}
