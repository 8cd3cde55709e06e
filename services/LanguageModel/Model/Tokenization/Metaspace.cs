using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>Which stretches of text between added tokens get a blank before them, where they begin with none.</summary>
public enum PrependScheme
{
    Never,
    First,
    Always,
}

/// <summary>
/// Hugging Face's pre_tokenizer of that name, which newer SentencePiece tokenizers have instead of a normalizer (transformers writes it
/// for "legacy": false): blanks become "▁" only after all added tokens are found, and a stretch of text may get one before it.
/// </summary>
/// <param name="SplitsWords">Text is cut before each "▁" and merged piece by piece.</param>
public sealed record Metaspace(PrependScheme Scheme, bool SplitsWords)
{
    /// <exception cref="CheckpointException">Another pre_tokenizer, or one that this build does not do; named.</exception>
    public static Metaspace Read(JsonElement element)
    {
        if (TokenizerJson.TypeOf(element) != "Metaspace")
            throw new CheckpointException($"the pre_tokenizer '{TokenizerJson.Short(TokenizerJson.TypeOf(element))}' is not supported "
                + $"beside byte_fallback; Metaspace and none are.");
        // Hugging Face leaves str_rep out of account
        TokenizerJson.Expect(
            element, "the pre_tokenizer Metaspace", "type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep");
        if (TokenizerJson.Text(TokenizerJson.Required(element, "replacement"), "replacement") is var replacement
            && replacement != SentencePieceRules.Blank)
            throw new CheckpointException(
                $"the Metaspace's replacement '{TokenizerJson.Short(replacement)}' is not supported; '{SentencePieceRules.Blank}' is.");
        var name = TokenizerJson.Present(element, "prepend_scheme") is { } scheme ? TokenizerJson.Text(scheme, "prepend_scheme") : "always";
        var metaspace = new Metaspace(SchemeOf(name), TokenizerJson.Flag(element, "split", true));
        // older files say this instead; Hugging Face refuses the contradiction too
        if (!TokenizerJson.Flag(element, "add_prefix_space", true) && metaspace.Scheme != PrependScheme.Never)
            throw new CheckpointException(
                $"the Metaspace's add_prefix_space is false where its prepend_scheme is '{name}'; 'never' belongs there.");
        return metaspace;
    }

    /// <param name="stretch">Text between added tokens, not empty.</param>
    /// <param name="first">It begins the whole text.</param>
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
