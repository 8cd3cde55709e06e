using System.Text.Json;
using Flamingo.Checkpoints;
using static Flamingo.LanguageModel.Tokenization.TokenizerJson;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// The content of a BPE <c>tokenizer.json</c>, byte-level (GPT-NeoX, MPT) or SentencePiece with byte fallback (LLaMA). A member
/// that this build would have to ignore is refused, and the message names it.
/// </summary>
/// <param name="SentencePiece">Settings of SentencePiece; null for byte-level BPE, whose settings are the three flags before this
/// parameter.</param>
/// <param name="Beginning">Ids that the template puts before a text. <see cref="JsonTokenizer.Encode"/> does not add them; the
/// caller may.</param>
public sealed record TokenizerFile(
    IReadOnlyDictionary<string, int> Vocabulary, IReadOnlyList<(string Left, string Right)> Merges, IReadOnlyList<AddedToken> AddedTokens,
    bool ComposesCharacters, bool AddsPrefixSpace, bool SplitsWords, SentencePieceRules? SentencePiece, IReadOnlyList<int> Beginning)
{
    /// <exception cref="CheckpointException">
    /// The file is missing, is not JSON, exceeds <see cref="TokenizerLimits"/>, or uses a feature that this build does not support.
    /// </exception>
    public static TokenizerFile Read(string path)
    {
        var bytes = TextFile.ReadJson(path);
        try
        {
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { AllowDuplicateProperties = false });
            return Read(document.RootElement);
        }
        catch (Exception exception) when (exception is CheckpointException or JsonException or InvalidOperationException)
        {
            // JsonDocument throws InvalidOperationException for half a surrogate pair in a string
            var problem = exception is JsonException malformed ? JsonProblem.Describe(malformed) : exception.Message;
            throw new CheckpointException(
                $"{path} is not a tokenizer.json that this build can read: {problem} Use the file that was published with the model.",
                exception);
        }
    }

    private static TokenizerFile Read(JsonElement root)
    {
        // Truncation and padding are ignored, as in transformers, which resets both at every call.
        Expect(
            root, "the file", "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
            "decoder", "model");
        var model = Required(root, "model");
        if (TypeOf(model) != "BPE") throw new CheckpointException($"the model '{TypeOf(model)}' is not supported; BPE is.");
        Expect(
            model, "the BPE model", "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
            "byte_fallback", "ignore_merges", "vocab", "merges");
        if (Present(model, "dropout") is { } dropout && dropout.GetDouble() != 0)
            throw new CheckpointException("BPE dropout is for training and not supported.");
        foreach (var affix in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
            if (Present(model, affix) is { } text && Text(text, affix).Length > 0)
                throw new CheckpointException($"the BPE model's {affix} '{Short(Text(text, affix))}' is not supported.");
        if (Flag(model, "ignore_merges", false)) throw new CheckpointException("the BPE model's ignore_merges is not supported.");

        var vocabulary = ReadVocabulary(Required(model, "vocab"));
        List<(string Left, string Right)> merges = [.. Items(model, "merges").Select(ReadMerge)];
        var added = ReadAddedTokens(root, vocabulary);
        var beginning = ReadBeginning(Present(root, "post_processor"));
        if (Flag(model, "byte_fallback", false))
            return new TokenizerFile(
                vocabulary, merges, added, false, false, false,
                SentencePieceRules.Read(Present(root, "normalizer"), Present(root, "pre_tokenizer"), Present(root, "decoder")), beginning);

        var pre = Only(
            Present(root, "pre_tokenizer"), "pre_tokenizer",
            "pretokenizers") ?? throw new CheckpointException("it has no pre_tokenizer; byte-level BPE needs ByteLevel.");
        var decoder = Only(Present(root, "decoder"), "decoder", "decoders") ?? throw new CheckpointException(
            "it has no decoder; byte-level BPE needs ByteLevel.");
        RequireByteLevel(pre, "pre_tokenizer");
        RequireByteLevel(decoder, "decoder");
        return new TokenizerFile(
            vocabulary, merges, added, ReadNormalizer(Present(root, "normalizer")), Flag(pre, "add_prefix_space", true),
            Flag(pre, "use_regex", true), null, beginning);
    }

    private static Dictionary<string, int> ReadVocabulary(JsonElement vocab)
    {
        if (vocab.ValueKind != JsonValueKind.Object) throw new CheckpointException("model.vocab is not an object of tokens and their ids.");
        var tokens = new Dictionary<string, int>(60_000);
        var ids = new HashSet<int>(60_000);
        foreach (var entry in vocab.EnumerateObject())
        {
            var token = Token(entry.Name, "a token of model.vocab");
            var id = Id(entry.Value, $"model.vocab's '{Short(token)}'");
            if (!ids.Add(id))
                throw new CheckpointException($"model.vocab's '{Short(token)}' with id {id} has the same id as another token.");
            tokens.Add(token, id);
        }

        return tokens;
    }

    private static (string Left, string Right) ReadMerge(JsonElement merge, int rank)
    {
        string[] parts = merge.ValueKind == JsonValueKind.Array
            ? [.. merge.EnumerateArray().Take(3).Select(part => Text(part, $"a part of merge {rank}"))]
            : Text(merge, $"merge {rank}").Split(' ', 3);
        return parts is [{ Length: > 0 } left, { Length: > 0 } right]
            ? (left, right)
            : throw new CheckpointException($"merge {rank} is not a pair of tokens: {Short(merge.GetRawText())}.");
    }

    private static List<AddedToken> ReadAddedTokens(JsonElement root, Dictionary<string, int> vocabulary)
    {
        var tokens = new List<AddedToken>();
        if (Present(root, "added_tokens") is null) return tokens;
        var taken = vocabulary.ToDictionary(entry => entry.Value, entry => entry.Key);
        var (contents, text) = (new HashSet<string>(), 0);
        foreach (var (index, element) in Items(root, "added_tokens").Index())
        {
            var what = $"added_tokens[{index}]";
            Expect(element, what, "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special");
            var (id, content) = (Id(Required(element, "id"), what), Token(Text(Required(element, "content"), $"{what}.content"), what));
            if (content.Length == 0) throw new CheckpointException($"{what} is empty.");
            if (Flag(element, "single_word", false))
                throw new CheckpointException($"the added token '{Short(content)}' uses single_word, which is not supported.");
            if (!contents.Add(content)
                || (taken.TryGetValue(id, out var other) && other != content)
                || (vocabulary.TryGetValue(content, out var inModel) && inModel != id))
                throw new CheckpointException(
                    $"the added token '{Short(content)}' with id {id} occurs twice, or its content or id is that of another token.");
            if ((text += content.Length) > TokenizerLimits.MostAddedText)
                throw new CheckpointException($"the added_tokens have more than {TokenizerLimits.MostAddedText} characters together.");
            taken[id] = content;
            var special = Flag(element, "special", false);
            tokens.Add(
                new(
                    id, content, special, Flag(element, "normalized", !special), Flag(element, "lstrip", false),
                    Flag(element, "rstrip", false)));
        }

        return tokens;
    }

    /// <summary>Returns whether text is normalised to NFC.</summary>
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
                return Items(element, "normalizers").Aggregate(false, (any, inner) => ReadNormalizer(inner) | any);
            default:
                throw new CheckpointException($"the normalizer '{Short(TypeOf(element))}' is not supported; NFC is.");
        }
    }

    /// <summary>
    /// Reads the special tokens that the template puts before a text. A template that puts tokens after a text is refused.
    /// </summary>
    private static List<int> ReadBeginning(JsonElement? processor)
    {
        // ByteLevel only changes offsets, which this tokenizer does not return.
        if (processor is not { } element || TypeOf(element) == "ByteLevel") return [];
        JsonElement[] single = TypeOf(element) == "TemplateProcessing" && Present(element, "single") is not null
            ? [.. Items(element, "single")]
            : [];
        if (single is not [.. var before, var text] || Present(text, "Sequence") is null)
            throw new CheckpointException($"the post_processor '{Short(TypeOf(element))}' is not supported, because it may add tokens "
                + "after a text; only ByteLevel, a TemplateProcessing that adds tokens before a text, or no post_processor is.");
        var ids = new List<int>();
        foreach (var token in before)
        {
            var name = Text(Required(Required(token, "SpecialToken"), "id"), "the id of a post_processor's SpecialToken");
            // a small file may refer many times to one long list
            foreach (var id in Items(Required(Required(element, "special_tokens"), name), "ids").Take(TokenizerLimits.MostBefore + 1))
                ids.Add(Id(id, "a special token of the post_processor"));
            if (ids.Count > TokenizerLimits.MostBefore)
                throw new CheckpointException($"the post_processor puts more than {TokenizerLimits.MostBefore} tokens before a text.");
        }

        return ids;
    }

    private static void RequireByteLevel(JsonElement element, string part)
    {
        if (TypeOf(element) != "ByteLevel")
            throw new CheckpointException($"the {part} '{Short(TypeOf(element))}' is not supported; ByteLevel is.");
        Expect(element, $"the {part} ByteLevel", "type", "add_prefix_space", "trim_offsets", "use_regex");
    }

    /// <summary>Returns the element itself, or the only member of a Sequence of one.</summary>
    private static JsonElement? Only(JsonElement? element, string part, string members)
    {
        if (element is not { } sequence || TypeOf(sequence) != "Sequence") return element;
        var inner = Items(sequence, members);
        return inner is [var only]
            ? only
            : throw new CheckpointException(
                $"the {part} is a Sequence of [{Short(string.Join(", ", inner.Take(8).Select(TypeOf)))}]; only ByteLevel is supported.");
    }
}
