using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>Which stretches of text between added tokens get a space before them if they do not begin with one.</summary>
public enum PrependScheme
{
    Never,
    First,
    Always,
}

/// <summary>
/// Hugging Face's pre_tokenizer Metaspace, which newer SentencePiece tokenizers have instead of a normaliser (transformers writes
/// it for "legacy": false). Spaces become "▁" only after all added tokens have been found, and a stretch of text may get a "▁"
/// before it.
/// </summary>
/// <param name="SplitsWords">Whether text is split before each "▁" and the pieces are merged separately.</param>
public sealed record Metaspace(PrependScheme Scheme, bool SplitsWords)
{
    /// <exception cref="CheckpointException">The element is another pre_tokenizer or has settings that this build does not
    /// support. The message names them.</exception>
    public static Metaspace Read(JsonElement element)
    {
        if (TokenizerJson.TypeOf(element) != "Metaspace")
            throw new CheckpointException($"the pre_tokenizer '{TokenizerJson.Short(TokenizerJson.TypeOf(element))}' is not supported "
                + "together with byte_fallback; only Metaspace or no pre_tokenizer is.");
        // Hugging Face ignores str_rep
        TokenizerJson.Expect(
            element, "the pre_tokenizer Metaspace", "type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep");
        if (TokenizerJson.Text(TokenizerJson.Required(element, "replacement"), "replacement") is var replacement
            && replacement != SentencePieceRules.Blank)
            throw new CheckpointException(
                $"the Metaspace's replacement '{TokenizerJson.Short(replacement)}' is not supported; '{SentencePieceRules.Blank}' is.");
        var name = TokenizerJson.Present(element, "prepend_scheme") is { } scheme ? TokenizerJson.Text(scheme, "prepend_scheme") : "always";
        var metaspace = new Metaspace(SchemeOf(name), TokenizerJson.Flag(element, "split", true));
        // older files have this member instead of prepend_scheme; Hugging Face refuses the contradiction too
        if (!TokenizerJson.Flag(element, "add_prefix_space", true) && metaspace.Scheme != PrependScheme.Never)
            throw new CheckpointException(
                $"the Metaspace's add_prefix_space is false but its prepend_scheme is '{name}'; it must be 'never'.");
        return metaspace;
    }

    /// <param name="stretch">Text between added tokens, not empty.</param>
    /// <param name="first">Whether the stretch begins the whole text.</param>
    public string Mark(ReadOnlySpan<char> stretch, bool first)
    {
        var text = stretch.ToString().Replace(" ", SentencePieceRules.Blank, StringComparison.Ordinal);
        var prepends = Scheme == PrependScheme.Always || (Scheme == PrependScheme.First && first);
        return prepends && !text.StartsWith(SentencePieceRules.Blank, StringComparison.Ordinal) ? SentencePieceRules.Blank + text : text;
    }

    /// <summary>Length of the first piece of a marked text that is not empty.</summary>
    public int NextLength(ReadOnlySpan<char> text) =>
        SplitsWords && text[1..].IndexOf(SentencePieceRules.Blank[0]) is >= 0 and var at ? at + 1 : text.Length;

    private static PrependScheme SchemeOf(string name) => name switch
    {
        "never" => PrependScheme.Never,
        "first" => PrependScheme.First,
        "always" => PrependScheme.Always,
        _ =>
            throw new CheckpointException(
                $"the Metaspace's prepend_scheme '{TokenizerJson.Short(name)}' is not supported; first, always and never are."),
    };
}
