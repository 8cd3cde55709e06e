using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>The language model's tokenizer.json with the tokens that OpenFlamingo adds behind the vocabulary.</summary>
internal static class TokenizerTranslation
{
    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" };

    public static TokensConfig Translate(string folder, string output)
    {
        var file = Path.Combine(folder, ModelDirectory.TokenizerFile);
        using (ConfigJson.Open(file)) { }
        var root = JsonNode.Parse(File.ReadAllBytes(file))!.AsObject();
        var added = root["added_tokens"] as JsonArray ?? throw new CheckpointException($"{file} has no added_tokens.");
        var vocabulary = root["model"]?["vocab"] as JsonObject ?? throw new CheckpointException($"{file} has no model.vocab.");
        var next = Math.Max(vocabulary.Max(item => item.Value!.GetValue<int>()), added.Select(token => token!["id"]!.GetValue<int>()).DefaultIfEmpty(-1).Max()) + 1;

        var end = Add("<|endofchunk|>");
        var image = Add("<image>");
        var padding = HasPadding(folder) ? null : Add("<PAD>");
        File.WriteAllText(output, root.ToJsonString(Json) + "\n");
        return new TokensConfig { Image = image, EndOfChunk = end, Padding = padding, Stop = [end.Id] };

        SpecialToken Add(string text)
        {
            var known = added.FirstOrDefault(token => token!["content"]!.GetValue<string>() == text);
            if (known is not null) return new SpecialToken(text, known["id"]!.GetValue<int>());
            var token = new SpecialToken(text, next++);
            added.Add(new JsonObject { ["id"] = token.Id, ["content"] = text, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true });
            return token;
        }
    }

    private static bool HasPadding(string folder) => new[] { "special_tokens_map.json", "tokenizer_config.json" }.Select(name => Path.Combine(folder, name)).Where(File.Exists).Any(file =>
    {
        using var json = ConfigJson.Open(file);
        return json.RootElement.TryGetProperty("pad_token", out var padding) && padding.ValueKind != JsonValueKind.Null;
    });
}
