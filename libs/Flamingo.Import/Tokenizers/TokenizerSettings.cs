using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Tokenizers;

/// <summary>
/// Checks tokenizer_config.json and added_tokens.json. transformers changes the tokenizer by them when it loads it; the importer copies
/// the tokenizer without changes, so a setting that would change it is a fault.
/// </summary>
internal static class TokenizerSettings
{
    // clean_up_tokenization_spaces is harmless, because this build decodes an answer token by token and never cleans it up.
    private const string Harmless =
        "tokenizer_class processor_class auto_map name_or_path special_tokens_map_file tokenizer_file vocab_file merges_file use_fast "
        + "from_slow local_files_only trust_remote_code errors "
        + "bos_token eos_token unk_token pad_token sep_token cls_token mask_token additional_special_tokens extra_special_tokens "
        + "model_specific_special_tokens model_max_length max_length max_len "
        + "padding_side truncation_side padding truncation truncation_strategy stride pad_to_multiple_of pad_token_type_id "
        + "model_input_names return_token_type_ids chat_template use_default_system_prompt "
        + "clean_up_tokenization_spaces spaces_between_special_tokens trim_offsets tokenize_chinese_chars";

    private static readonly string[] Flags = ["single_word", "lstrip", "rstrip", "normalized"];

    /// <param name="folder">Folder of the tokenizer.</param>
    /// <param name="report">Takes faults and warnings.</param>
    /// <param name="eos">Text that the end-of-text token must have; null if the layout does not depend on it.</param>
    public static void Check(string folder, ImportReport report, string? eos = null)
    {
        var tokenizer = TokenizerTranslation.FileIn(folder);
        using var json =
            Path.GetFileName(tokenizer) == ModelDirectory.TokenizerFile && File.Exists(tokenizer) ? ConfigJson.Open(tokenizer) : null;
        var (settings, added) = (Path.Combine(folder, "tokenizer_config.json"), Path.Combine(folder, "added_tokens.json"));
        using var config = File.Exists(settings) ? ConfigJson.Open(settings) : null;
        using var tokens = File.Exists(added) ? ConfigJson.Open(added) : null;
        if (config is not null) ConfigJson.Within(settings, () =>
            CheckSettings(config.RootElement, settings, json?.RootElement, eos, report));
        if (tokens is null) return;
        foreach (var token in ConfigJson.Within(added, () => tokens.RootElement.EnumerateObject().ToList()))
            CheckToken(json?.RootElement, token.Name, token.Value.GetRawText(), added, tokenizer, report);
    }

    private static bool CheckSettings(JsonElement config, string file, JsonElement? tokenizer, string? eos, ImportReport report)
    {
        var rules = new List<(string Key, string[] Values)> { ("add_eos_token", ["false"]), ("do_lower_case", ["false"]),
            ("split_special_tokens", ["false"]), ("sp_model_kwargs", ["{}"]) };
        var computed = "legacy added_tokens_decoder";
        if (tokenizer is { } json)
        {
            // transformers replaces the tokenizer's own values by these settings if they differ.
            rules.Add(("add_bos_token", [Text(PutsTokensBefore(json))]));
            rules.Add(("add_prefix_space", [Text(PutsBlankBefore(json))]));
            if (config.Member("added_tokens_decoder") is { ValueKind: JsonValueKind.Object } decoder)
                CheckDecoder(json, decoder, file, report);
        }
        else
        {
            computed += " add_prefix_space add_bos_token"; // The conversion of a tokenizer.model reads these keys.
        }

        new ConfigKeys(computed, Harmless, [.. rules]).Check(config, file, report);
        if (eos is not null && config.Member("eos_token") is { } end && (end.Member("content") ?? end).ToString() is var text
            && text != eos)
            report.Faults.Add($"unsupported: eos_token is {text}, in {file}; this build computes {eos}");
        return true;
    }

    private static void CheckDecoder(JsonElement tokenizer, JsonElement decoder, string file, ImportReport report)
    {
        foreach (var token in decoder.EnumerateObject())
        {
            var content = token.Value.Member("content")?.ToString() ?? "";
            if (CheckToken(tokenizer, content, token.Name, file, ModelDirectory.TokenizerFile, report)
                && Added(tokenizer, content) is { } known
                && Array.Find(Flags, flag => token.Value.Flag(flag, false) != known.Flag(flag, false)) is { } other)
                report.Faults.Add($"unsupported: {other} of the token '{content}' in added_tokens_decoder, in {file}, differs from "
                    + $"{ModelDirectory.TokenizerFile}; this build computes the latter");
        }
    }

    private static bool CheckToken(JsonElement? tokenizer, string content, string id, string file, string tokenizerFile,
        ImportReport report)
    {
        var known = tokenizer is { } json ? Added(json, content)?.Member("id") ?? json.Member("model")?.Member("vocab")?.Member(content)
            : null;
        if (known?.GetRawText() == id) return true;
        report.Faults.Add($"unsupported: the token '{content}' with id {id}, in {file}, is not in {Path.GetFileName(tokenizerFile)}; "
            + "supply the tokenizer.json that has it");
        return false;
    }

    private static JsonElement? Added(JsonElement tokenizer, string content)
    {
        if (tokenizer.Member("added_tokens") is not { ValueKind: JsonValueKind.Array } added) return null;
        return added.EnumerateArray().FirstOrDefault(token =>
            token.Member("content")?.ToString() == content) is { ValueKind: JsonValueKind.Object } found ? found : null;
    }

    private static bool PutsTokensBefore(JsonElement tokenizer) =>
        tokenizer.Member("post_processor")?.Member("single") is { ValueKind: JsonValueKind.Array } single
            && single.EnumerateArray().FirstOrDefault().Member("SpecialToken") is not null;

    // The converted SentencePiece tokenizers have no pre_tokenizer (the normalizer puts the blank before a text) or a Metaspace.
    private static bool PutsBlankBefore(JsonElement tokenizer) =>
        tokenizer.Member("pre_tokenizer") is not { } pre || (pre.Member("type")?.ToString() == "ByteLevel"
        ? pre.Flag("add_prefix_space", true)
        : pre.Member("prepend_scheme")?.ToString() != "never");

    private static string Text(bool value) => value ? "true" : "false";
}
