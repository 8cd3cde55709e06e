using System.Globalization;
using System.Text;
using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// The settings with which transformers writes a SentencePiece BPE with byte fallback (LLaMA, IDEFICS) to a tokenizer.json.
/// Spaces are written as "▁", either by a normaliser (in "legacy" files, which puts one more "▁" before every stretch of text
/// between markers) or by a <see cref="Metaspace"/>. Decoding removes one space from the beginning of the text.
/// </summary>
/// <param name="PrependsBlank">Whether the normaliser puts a space before every text that is not empty, also after markers.</param>
/// <param name="StripsBlank">Whether a space at the beginning of decoded text is left out.</param>
/// <param name="Metaspace">The pre_tokenizer; null if a normaliser is used instead.</param>
public sealed record SentencePieceRules(bool PrependsBlank, bool StripsBlank, Metaspace? Metaspace)
{
    internal const string Blank = "\u2581";

    public static string ByteToken(int value) => $"<0x{value:X2}>";

    /// <summary>The byte that a byte token stands for, or null for another token.</summary>
    public static byte? ByteOf(string token) =>
        token.Length == 6
            && token.StartsWith("<0x", StringComparison.Ordinal)
            && token[5] == '>'
            && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            ? value
            : null;

    /// <exception cref="CheckpointException">The file has other settings. The message names them.</exception>
    public static SentencePieceRules Read(JsonElement? normalizer, JsonElement? preTokenizer, JsonElement? decoder)
    {
        var metaspace = preTokenizer is { } pre ? Metaspace.Read(pre) : null;
        var normalizers = Steps(normalizer, "normalizers");
        var prepends = normalizers is [var first, ..] && Is(first, "Prepend", ("prepend", Blank));
        if (metaspace is not null && normalizers.Count > 0)
            throw new CheckpointException($"the normalizer {Names(normalizers)} is not supported together with a Metaspace; only no "
                + "normalizer is.");
        if (metaspace is null && (normalizers.Skip(prepends ? 1 : 0).ToList() is not [var replace] || !IsReplace(replace, " ", Blank)))
            throw new CheckpointException($"the normalizer {Names(normalizers)} is not supported together with byte_fallback; only "
                + $"Prepend '{Blank}' followed by Replace ' ' by '{Blank}' is, or a pre_tokenizer Metaspace instead.");
        var decoders = Steps(decoder, "decoders");
        if (decoders is not [var back, var bytes, var fuse, ..]
            || !IsReplace(back, Blank, " ") || !Is(bytes, "ByteFallback") || !Is(fuse, "Fuse") || decoders.Count > 4
            || (decoders.Count == 4 && !IsStrip(decoders[3])))
            throw new CheckpointException(
                $"the decoder {Names(decoders)} is not supported together with byte_fallback; only Replace, ByteFallback, Fuse and Strip "
                + "are.");
        return new SentencePieceRules(prepends, decoders.Count == 4, metaspace);
    }

    /// <param name="prepends">False if the text continues a stretch of text, so that no space is put before it.</param>
    public string Normalize(string text, bool prepends = true)
    {
        if (text.Length == 0 || Metaspace is not null) return text;
        text = text.Replace(" ", Blank, StringComparison.Ordinal);
        return PrependsBlank && prepends ? Blank + text : text;
    }

    /// <summary>The UTF-8 text of a token by itself.</summary>
    public static byte[] BytesOf(string token) => ByteOf(token) is { } value ? [value] : Encoding.UTF8.GetBytes(TextOf(token));

    public static string TextOf(string token) => token.Replace(Blank, " ", StringComparison.Ordinal);

    private static List<JsonElement> Steps(JsonElement? element, string members) =>
        element is not { } step ? [] : TokenizerJson.TypeOf(step) == "Sequence" ? TokenizerJson.Items(step, members) : [step];

    private static bool Is(JsonElement step, string type, params (string Name, string Value)[] members) =>
        TokenizerJson.TypeOf(step) == type && members.All(member => Text(step, member.Name) == member.Value);

    private static bool IsReplace(JsonElement step, string from, string to) =>
        Is(step, "Replace", ("content", to)) && Text(TokenizerJson.Required(step, "pattern"), "String") == from;

    private static bool IsStrip(JsonElement step) =>
        Is(step, "Strip", ("content", " ")) && (Number(step, "start"), Number(step, "stop")) == (1, 0);

    private static string? Text(JsonElement step, string name) =>
        TokenizerJson.Present(step, name) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;

    private static int? Number(JsonElement step, string name) =>
        TokenizerJson.Present(step, name) is { ValueKind: JsonValueKind.Number } number && number.TryGetInt32(out var value) ? value : null;

    private static string Names(IEnumerable<JsonElement> steps) =>
        $"[{TokenizerJson.Short(string.Join(", ", steps.Take(8).Select(TokenizerJson.TypeOf)))}]";
}
