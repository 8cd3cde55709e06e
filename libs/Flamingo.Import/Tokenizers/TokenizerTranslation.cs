using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Tokenizers;

/// <summary>
/// The tokenizer of a language model, read from its tokenizer.json or converted from its SentencePiece tokenizer.model. Tokens that
/// training added get the ids after the vocabulary.
/// </summary>
internal sealed class TokenizerTranslation
{
    private const string SentencePieceFile = "tokenizer.model", SettingsFile = "tokenizer_config.json";
    private static readonly JsonSerializerOptions Json =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" };

    private readonly string _folder;
    private readonly JsonObject _root;
    private readonly JsonArray _added;
    private int _next;

    private TokenizerTranslation(string folder, string file, JsonObject root)
    {
        (_folder, _root) = (folder, root);
        _added = root["added_tokens"] as JsonArray ?? throw new CheckpointException($"{file} has no added_tokens.");
        var vocabulary = root["model"]?["vocab"] as JsonObject ?? throw new CheckpointException($"{file} has no model.vocab.");
        if (vocabulary.Select(item => item.Key).Concat(_added.Select(Content))
            .FirstOrDefault(token => token.Length > TokenizerLimits.LongestToken) is { } token)
            throw new CheckpointException($"{file}: a token has {token.Length} characters; tokens have "
                + $"{TokenizerLimits.LongestToken} at most.");
        if (_added.Sum(token => (long)Content(token).Length) > TokenizerLimits.MostAddedText)
            throw new CheckpointException($"{file}: the added_tokens have more than {TokenizerLimits.MostAddedText} characters together.");
        _next = vocabulary.Select(item => item.Value).Concat(_added.Select(added => added?["id"])).Select(Id).DefaultIfEmpty(-1).Max() + 1;
    }

    /// <summary>The token that the tokenizer's template puts before every text; null if it puts none.</summary>
    /// <exception cref="CheckpointException">The template names a token that the tokenizer lacks.</exception>
    public SpecialToken? Beginning
    {
        get
        {
            if (_root["post_processor"] is not JsonObject processor || processor["type"]?.GetValue<string>() != "TemplateProcessing")
                return null;
            var first = processor["single"] is JsonArray { Count: > 0 } single ? single[0] : null;
            if (first?["SpecialToken"]?["id"]?.GetValue<string>() is not { } text) return null;
            return Find(text) ?? throw new CheckpointException($"The tokenizer's template names '{text}', which is not an added token.");
        }
    }

    /// <summary>One more than the largest id: the rows that the token embedding needs.</summary>
    public int Vocabulary => _next;

    /// <summary>Whether a configuration file names a padding token.</summary>
    public bool HasPadding => Beside(_folder).Where(File.Exists).Any(file =>
    {
        using var json = ConfigJson.Open(file);
        return json.RootElement.Member("pad_token") is not null;
    });

    /// <summary>Path of the file that the tokenizer of a folder is read from. The file may be missing.</summary>
    public static string FileIn(string folder)
    {
        var (json, model) = (Path.Combine(folder, ModelDirectory.TokenizerFile), Path.Combine(folder, SentencePieceFile));
        return File.Exists(json) || !File.Exists(model) ? json : model;
    }

    /// <summary>Paths of all existing files that determine the tokenizer or its special tokens.</summary>
    public static IEnumerable<string> FilesIn(string folder) =>
        Beside(folder).Prepend(FileIn(folder)).Append(Path.Combine(folder, "added_tokens.json")).Where(File.Exists);

    /// <exception cref="CheckpointException">The folder has no tokenizer, or its file is damaged.</exception>
    public static TokenizerTranslation Read(string folder)
    {
        var file = FileIn(folder);
        if (Path.GetFileName(file) == SentencePieceFile)
            return new TokenizerTranslation(folder, file, SentencePieceModel.Read(file).ToTokenizerJson(IsLegacy(folder)));
        using (ConfigJson.Open(file)) { }
        var json = JsonNode.Parse(TextFile.ReadJson(file).Span) as JsonObject
            ?? throw new CheckpointException($"{file} is not a tokenizer.json.");
        return new TokenizerTranslation(folder, file, json);
    }

    /// <summary>Returns the added token of the given text, or null if there is none.</summary>
    public SpecialToken? Find(string text) =>
        _added.FirstOrDefault(token => Content(token) == text) is { } known ? new SpecialToken(text, Id(known["id"])) : null;

    /// <summary>Returns a special token. Adds it with the next free id if the tokenizer does not have it.</summary>
    public SpecialToken Add(string text)
    {
        if (Find(text) is { } known) return known;
        var token = new SpecialToken(text, _next++);
        _added.Add(new JsonObject { ["id"] = token.Id, ["content"] = text, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false,
            ["normalized"] = false, ["special"] = true });
        return token;
    }

    /// <summary>Writes the tokenizer.json.</summary>
    /// <param name="file">Path of the file to write.</param>
    /// <param name="vocabulary">Rows of the token embedding. There may be more rows than tokens, but not fewer.</param>
    /// <param name="check">Receives the path of the written file and throws if services would refuse it; null skips the check.</param>
    /// <exception cref="CheckpointException">A token has no row, or the check refused the file.</exception>
    public void Write(string file, int vocabulary, Action<string>? check)
    {
        if (_next > vocabulary)
            throw new CheckpointException($"The tokenizer has ids up to {_next - 1}, the checkpoint's embeddings {vocabulary} rows: the "
                + "two "
                + "are not of the same model.");
        File.WriteAllText(file, _root.ToJsonString(Json) + "\n");
        try
        {
            check?.Invoke(file);
        }
        catch (CheckpointException exception)
        {
            throw new CheckpointException(exception.Message.Replace(file, FileIn(_folder), StringComparison.Ordinal), exception);
        }
    }

    private static IEnumerable<string> Beside(string folder) =>
        new[] { "special_tokens_map.json", SettingsFile }.Select(name => Path.Combine(folder, name));

    // transformers keeps the behaviour that its LlamaTokenizer had before the correction of 2023, unless legacy is false.
    private static bool IsLegacy(string folder)
    {
        var file = Path.Combine(folder, SettingsFile);
        if (!File.Exists(file)) return true;
        using var json = ConfigJson.Open(file);
        return ConfigJson.Within(file, () => json.RootElement.Flag("add_prefix_space", true)
            ? json.RootElement.Flag("legacy", true)
            : throw new CheckpointException($"{file}: add_prefix_space is false, which this build does not support for a "
                + $"{SentencePieceFile}. Supply a tokenizer.json instead."));
    }

    private static int Id(JsonNode? node) =>
        node is JsonValue value && value.TryGetValue<int>(out var id) && id is >= 0 and < TokenizerLimits.MostTokens ? id
            : throw new FormatException($"the id {node?.ToJsonString() ?? "null"} is not a token id.");

    private static string Content(JsonNode? token) =>
        token is JsonObject && token["content"] is JsonValue value && value.TryGetValue<string>(out var content) ? content
            : throw new FormatException("an added token has no content.");
}
