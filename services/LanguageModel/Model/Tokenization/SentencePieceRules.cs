using System.Globalization;
using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// How transformers writes a SentencePiece BPE with byte fallback (LLaMA, IDEFICS) as a tokenizer.json: blanks are "▁", one is put
/// before every stretch of text between markers ("legacy"), and decoding takes one blank off the very beginning.
/// </summary>
/// <param name="PrependsBlank">Text that is not empty gets a blank before it, after markers too.</param>
/// <param name="StripsBlank">A blank at the beginning of decoded text is left out.</param>
public sealed record SentencePieceRules(bool PrependsBlank, bool StripsBlank)
{
    private const string Blank = "\u2581";

    public static string ByteToken(int value) => $"<0x{value:X2}>";

    /// <summary>The byte that a token stands for, or null.</summary>
    public static byte? ByteOf(string token) =>
        token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>' && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;

    /// <exception cref="CheckpointException">Another recipe; named.</exception>
    public static SentencePieceRules Read(JsonElement? normalizer, JsonElement? preTokenizer, JsonElement? decoder)
    {
        if (preTokenizer is { } pre) throw new CheckpointException($"the pre_tokenizer '{TokenizerFile.TypeOf(pre)}' is not supported beside byte_fallback; none is.");
        var normalizers = Steps(normalizer, "normalizers");
        var prepends = normalizers is [var first, ..] && Is(first, "Prepend", ("prepend", Blank));
        if (normalizers.Skip(prepends ? 1 : 0).ToList() is not [var replace] || !IsReplace(replace, " ", Blank))
            throw new CheckpointException($"the normalizer {Names(normalizers)} is not supported beside byte_fallback; Prepend '{Blank}' and Replace ' ' by it are.");
        var decoders = Steps(decoder, "decoders");
        if (decoders is not [var back, var bytes, var fuse, ..] || !IsReplace(back, Blank, " ") || !Is(bytes, "ByteFallback") || !Is(fuse, "Fuse") || decoders.Count > 4 || (decoders.Count == 4 && !IsStrip(decoders[3])))
            throw new CheckpointException($"the decoder {Names(decoders)} is not supported beside byte_fallback; Replace, ByteFallback, Fuse and Strip are.");
        return new SentencePieceRules(prepends, decoders.Count == 4);
    }

    public string Normalize(string text)
    {
        if (text.Length == 0) return text;
        text = text.Replace(" ", Blank, StringComparison.Ordinal);
        return PrependsBlank ? Blank + text : text;
    }

    public static string TextOf(string token) => token.Replace(Blank, " ", StringComparison.Ordinal);

    private static List<JsonElement> Steps(JsonElement? element, string members) =>
        element is not { } step ? [] : TokenizerFile.TypeOf(step) == "Sequence" ? [.. step.GetProperty(members).EnumerateArray()] : [step];

    private static bool Is(JsonElement step, string type, params (string Name, string Value)[] members) =>
        TokenizerFile.TypeOf(step) == type && members.All(member => step.GetProperty(member.Name).GetString() == member.Value);

    private static bool IsReplace(JsonElement step, string from, string to) =>
        Is(step, "Replace", ("content", to)) && step.GetProperty("pattern").TryGetProperty("String", out var pattern) && pattern.GetString() == from;

    private static bool IsStrip(JsonElement step) => Is(step, "Strip", ("content", " ")) && (step.GetProperty("start").GetInt32(), step.GetProperty("stop").GetInt32()) == (1, 0);

    private static string Names(IEnumerable<JsonElement> steps) => $"[{string.Join(", ", steps.Select(TokenizerFile.TypeOf))}]";
}
