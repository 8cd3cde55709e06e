using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Execution;

/// <summary>
/// The picture that each token of a text attends to: the last picture at or before the token, or −1 if there is none or if a
/// token between the two hides it (<see cref="TokensConfig.HidesPictures"/>). Generated tokens attend to the picture of the
/// prompt's last token.
/// </summary>
public static class SeenPictures
{
    /// <param name="ids">Token ids of a whole text, from its first token on.</param>
    /// <returns>For each token, the index of its picture among the pictures of the text, or −1.</returns>
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

    /// <summary>The pictures that the tokens of a text attend to that follows a prompt and has no pictures of its own.</summary>
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
