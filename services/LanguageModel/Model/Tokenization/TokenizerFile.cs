using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// What a BPE <c>tokenizer.json</c> says, byte-level (GPT-NeoX, MPT) or SentencePiece's with byte fallback (LLaMA); whatever this
/// build would have to ignore is refused by name.
/// </summary>
/// <param name="SentencePiece">Null for byte-level BPE, whose own settings are the three flags before it.</param>
/// <param name="Beginning">Ids that the template puts before a text; <see cref="JsonTokenizer.Encode"/> leaves that to the caller.</param>
public sealed record TokenizerFile(
    IReadOnlyDictionary<string, int> Vocabulary, IReadOnlyList<(string Left, string Right)> Merges, IReadOnlyList<AddedToken> AddedTokens,
    bool ComposesCharacters, bool AddsPrefixSpace, bool SplitsWords, SentencePieceRules? SentencePiece, IReadOnlyList<int> Beginning)
{
    /// <exception cref="CheckpointException">No such file, no JSON, or something in it that this build does not do.</exception>
    public static TokenizerFile Read(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return Read(document.RootElement);
        }
        catch (CheckpointException exception)
        {
            throw new CheckpointException($"{path}: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path} cannot be read: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            // The last three: a value of another JSON type, a number out of range, a member that is missing.
            throw new CheckpointException($"{path} is no tokenizer.json of Hugging Face: {exception.Message}", exception);
        }
    }

    private static TokenizerFile Read(JsonElement root)
    {
        // Truncation and padding are left out of account as transformers does, which resets both for every call.
        Expect(root, "the file", "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model");
        var model = Present(root, "model") ?? throw new CheckpointException("it has no model.");
        if (TypeOf(model) != "BPE") throw new CheckpointException($"the model '{TypeOf(model)}' is not supported; BPE is.");
        Expect(model, "the BPE model", "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges");
        if (Present(model, "dropout") is { } dropout && dropout.GetDouble() != 0) throw new CheckpointException("BPE dropout is for training and not supported.");
        foreach (var affix in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
            if (Present(model, affix)?.GetString() is { Length: > 0 } text) throw new CheckpointException($"the BPE model's {affix} '{text}' is not supported.");
        if (Flag(model, "ignore_merges", false)) throw new CheckpointException("the BPE model's ignore_merges is not supported.");

        var vocabulary = ReadVocabulary(model.GetProperty("vocab"));
        List<(string Left, string Right)> merges = [.. model.GetProperty("merges").EnumerateArray().Select(ReadMerge)];
        var added = ReadAddedTokens(Present(root, "added_tokens"), vocabulary);
        var beginning = ReadBeginning(Present(root, "post_processor"));
        if (Flag(model, "byte_fallback", false))
            return new TokenizerFile(vocabulary, merges, added, false, false, false, SentencePieceRules.Read(Present(root, "normalizer"), Present(root, "pre_tokenizer"), Present(root, "decoder")), beginning);

        var pre = Only(Present(root, "pre_tokenizer"), "pre_tokenizer", "pretokenizers") ?? throw new CheckpointException("it has no pre_tokenizer; byte-level BPE needs ByteLevel.");
        var decoder = Only(Present(root, "decoder"), "decoder", "decoders") ?? throw new CheckpointException("it has no decoder; byte-level BPE needs ByteLevel.");
        RequireByteLevel(pre, "pre_tokenizer");
        RequireByteLevel(decoder, "decoder");
        return new TokenizerFile(vocabulary, merges, added, ReadNormalizer(Present(root, "normalizer")), Flag(pre, "add_prefix_space", true), Flag(pre, "use_regex", true), null, beginning);
    }

    private static Dictionary<string, int> ReadVocabulary(JsonElement vocab)
    {
        var tokens = new Dictionary<string, int>(60_000);
        var ids = new HashSet<int>(60_000);
        foreach (var entry in vocab.EnumerateObject())
        {
            var id = entry.Value.GetInt32();
            if (id < 0 || !ids.Add(id) || !tokens.TryAdd(entry.Name, id))
                throw new CheckpointException($"the vocabulary's '{entry.Name}' with id {id} is negative or taken twice.");
        }

        return tokens;
    }

    private static (string Left, string Right) ReadMerge(JsonElement merge, int rank)
    {
        string[] parts = merge.ValueKind == JsonValueKind.Array
            ? [.. merge.EnumerateArray().Select(part => part.GetString() ?? "")]
            : merge.GetString()?.Split(' ') ?? [];
        return parts is [{ Length: > 0 } left, { Length: > 0 } right] ? (left, right) : throw new CheckpointException($"merge {rank} is no pair: {merge}.");
    }

    private static List<AddedToken> ReadAddedTokens(JsonElement? array, Dictionary<string, int> vocabulary)
    {
        var tokens = new List<AddedToken>();
        if (array is null) return tokens;
        var taken = vocabulary.ToDictionary(entry => entry.Value, entry => entry.Key);
        var contents = new HashSet<string>();
        foreach (var element in array.Value.EnumerateArray())
        {
            Expect(element, "an added token", "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special");
            var (id, content) = (element.GetProperty("id").GetInt32(), element.GetProperty("content").GetString());
            if (string.IsNullOrEmpty(content)) throw new CheckpointException($"the added token {id} is empty.");
            if (Flag(element, "single_word", false)) throw new CheckpointException($"the added token '{content}' asks for single_word, which is not supported.");
            if (!contents.Add(content) || id < 0 || (taken.TryGetValue(id, out var other) && other != content) || (vocabulary.TryGetValue(content, out var inModel) && inModel != id))
                throw new CheckpointException($"the added token '{content}' with id {id} stands there twice, or token or id are taken by another.");
            taken[id] = content;
            var special = Flag(element, "special", false);
            tokens.Add(new(id, content, special, Flag(element, "normalized", !special), Flag(element, "lstrip", false), Flag(element, "rstrip", false)));
        }

        return tokens;
    }

    /// <summary>Whether text is brought to NFC.</summary>
    private static bool ReadNormalizer(JsonElement? normalizer)
    {
        if (normalizer is not { } element) return false;
        switch (TypeOf(element))
        {
            case "NFC":
                Expect(element, "the normalizer NFC", "type");
                return true;
            case "Sequence":
                Expect(element, "the normalizer Sequence", "type", "normalizers");
                return element.GetProperty("normalizers").EnumerateArray().Aggregate(false, (any, inner) => ReadNormalizer(inner) | any);
            default:
                throw new CheckpointException($"the normalizer '{TypeOf(element)}' is not supported; NFC is.");
        }
    }

    /// <summary>A template may put special tokens before a text, and nothing behind.</summary>
    private static List<int> ReadBeginning(JsonElement? processor)
    {
        // ByteLevel only moves offsets, which nobody asks for here.
        if (processor is not { } element || TypeOf(element) == "ByteLevel") return [];
        if (TypeOf(element) != "TemplateProcessing" || Present(element, "single") is not { } single || single.GetArrayLength() == 0 || single[single.GetArrayLength() - 1].TryGetProperty("Sequence", out _) == false)
            throw new CheckpointException($"the post_processor '{TypeOf(element)}' is not supported, because it may add tokens behind a text; a TemplateProcessing that puts some before it, ByteLevel and none are.");
        var before = single.EnumerateArray().SkipLast(1).Select(token => token.GetProperty("SpecialToken").GetProperty("id").GetString()!);
        return [.. before.SelectMany(token => element.GetProperty("special_tokens").GetProperty(token).GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()))];
    }

    private static void RequireByteLevel(JsonElement element, string part)
    {
        if (TypeOf(element) != "ByteLevel") throw new CheckpointException($"the {part} '{TypeOf(element)}' is not supported; ByteLevel is.");
        Expect(element, $"the {part} ByteLevel", "type", "add_prefix_space", "trim_offsets", "use_regex");
    }

    /// <summary>The element itself, or the one member of a Sequence of one.</summary>
    private static JsonElement? Only(JsonElement? element, string part, string members)
    {
        if (element is not { } sequence || TypeOf(sequence) != "Sequence") return element;
        var inner = sequence.GetProperty(members);
        return inner.GetArrayLength() == 1 ? inner[0] : throw new CheckpointException($"the {part} is a Sequence of [{string.Join(", ", inner.EnumerateArray().Select(TypeOf))}]; ByteLevel alone is supported.");
    }

    internal static void Expect(JsonElement element, string what, params ReadOnlySpan<string> known)
    {
        foreach (var member in element.EnumerateObject())
            if (!known.Contains(member.Name)) throw new CheckpointException($"{what} has a '{member.Name}', which this build does not know.");
    }

    internal static string TypeOf(JsonElement element) => Present(element, "type")?.GetString() ?? "(without a type)";

    private static bool Flag(JsonElement element, string name, bool otherwise) => Present(element, name)?.GetBoolean() ?? otherwise;

    internal static JsonElement? Present(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
}
