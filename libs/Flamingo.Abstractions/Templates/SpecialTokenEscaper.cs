namespace Flamingo.Abstractions.Templates;

/// <summary>
/// Inserts a space into each special token of a user's text, so that the tokenizer does not read it as the special token:
/// <c>&lt;|endofchunk|&gt;</c> becomes <c>&lt; |endofchunk|&gt;</c>.
/// </summary>
public sealed class SpecialTokenEscaper(LanguageModelDescription model)
{
    // A token of one character cannot be split, and no supported model family has such a token.
    private readonly string[] _tokens =
        [.. model.SpecialTokens.Concat(model.PictureMarkers).Append(model.EndOfChunkToken).Distinct()
            .Where(token => token.Length > 1).OrderByDescending(token => token.Length)];

    public string Escape(string text)
    {
        foreach (var token in _tokens) text = text.Replace(token, $"{token[0]} {token[1..]}", StringComparison.Ordinal);
        return text;
    }

    /// <summary>Whether a text begins with a special token.</summary>
    public bool BeginsWithSpecialToken(string text) => _tokens.Any(token => text.StartsWith(token, StringComparison.Ordinal));
}
