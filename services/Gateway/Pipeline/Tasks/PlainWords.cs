using Flamingo.Abstractions;

namespace Flamingo.Gateway.Tasks;

/// <summary>
/// What a user wrote, with a blank inside each special token so that none is read as one: <c>&lt;|endofchunk|&gt;</c> becomes
/// <c>&lt; |endofchunk|&gt;</c>.
/// </summary>
internal sealed class PlainWords(LanguageModelDescription model)
{
    // a single character cannot be broken, and none of the families has such a token
    private readonly string[] _tokens =
        [.. model.SpecialTokens.Concat(model.PictureMarkers).Append(model.EndOfChunkToken).Distinct()
            .Where(token => token.Length > 1).OrderByDescending(token => token.Length)];

    public string Of(string words)
    {
        foreach (var token in _tokens) words = words.Replace(token, $"{token[0]} {token[1..]}", StringComparison.Ordinal);
        return words;
    }

    /// <summary>Whether a text is read as a special token first of all.</summary>
    public bool BeginsSpecial(string text) => _tokens.Any(token => text.StartsWith(token, StringComparison.Ordinal));
}
