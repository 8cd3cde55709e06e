using System.Text.Json.Nodes;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing;

namespace Flamingo.LanguageModel.Tests.Tokenization;

/// <summary>The reference tokenizer and variants of it, written to a temporary file and loaded.</summary>
internal static class TokenizerFiles
{
    public static string ReferencePath { get; } = RepositoryFiles.Path("tests", "reference", "tokenizers", "neox", "tokenizer.json");

    public static JsonObject Reference(string kind = "neox") =>
        JsonNode.Parse(File.ReadAllText(RepositoryFiles.Path("tests", "reference", "tokenizers", kind, "tokenizer.json")))!.AsObject();

    /// <summary>Returns the tokenizer with the three tokens that OpenFlamingo's importer appends.</summary>
    /// <param name="kind">neox (byte-level) or llama (SentencePiece).</param>
    public static JsonObject WithFlamingoTokens(string kind = "neox")
    {
        var json = Reference(kind);
        var id = kind == "neox" ? 532 : 541;
        foreach (var content in (string[])["<|endofchunk|>", "<image>", "<PAD>"])
            Add(json, id++, content, special: true, normalized: false);
        return json;
    }

    public static void Add(
        JsonObject json, int id, string content, bool special, bool normalized, bool lstrip = false, bool rstrip = false) =>
        json["added_tokens"]!.AsArray().Add(new JsonObject
        {
            ["id"] = id, ["content"] = content, ["single_word"] = false, ["lstrip"] = lstrip, ["rstrip"] = rstrip,
            ["normalized"] = normalized, ["special"] = special,
        });

    public static JsonTokenizer Load(JsonObject json)
    {
        var path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.json");
        try
        {
            File.WriteAllText(path, json.ToJsonString());
            return JsonTokenizer.Load(path);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
