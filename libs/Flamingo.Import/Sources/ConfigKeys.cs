using System.Globalization;
using System.Text.Json;

namespace Flamingo.Import.Sources;

/// <summary>
/// The known keys of a configuration file in three groups: keys that the importer uses, keys that do not change what a model computes,
/// and keys of which this build computes certain values only. Another value of the third group is a fault, which ends the import. A key
/// that is in no group is a warning. A null value counts as an absent key.
/// </summary>
/// <param name="Computed">Keys, separated by blanks, that the importer reads or whose meaning follows from the weights.</param>
/// <param name="Harmless">Keys, separated by blanks, about training, initialisation, text generation or bookkeeping.</param>
/// <param name="Only">Keys with the values that this build computes. An empty list allows only null.</param>
internal sealed record ConfigKeys(string Computed, string Harmless, params (string Key, string[] Values)[] Only)
{
    /// <summary>
    /// Harmless keys that transformers writes into any config.json. They include the generation settings of old files, which this
    /// project does not use for answers.
    /// </summary>
    public const string Bookkeeping =
        "_name_or_path _commit_hash _attn_implementation _attn_implementation_autoset _flash_attn_2_enabled architectures auto_map "
        + "model_type torch_dtype dtype transformers_version "
        + "use_cache use_bfloat16 torchscript output_attentions output_hidden_states return_dict is_encoder_decoder is_decoder "
        + "tie_encoder_decoder chunk_size_feed_forward gradient_checkpointing "
        + "finetuning_task task_specific_params problem_type id2label label2id num_labels tokenizer_class tf_legacy_loss bos_token_id "
        + "eos_token_id pad_token_id sep_token_id decoder_start_token_id prefix "
        + "max_length max_new_tokens min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k "
        + "top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size "
        + "encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate forced_bos_token_id "
        + "forced_eos_token_id remove_invalid_values "
        + "exponential_decay_length_penalty suppress_tokens begin_suppress_tokens";

    private const int LongestQuote = 80;

    private static readonly (string Key, string[] Values)[] Everywhere =
        [("pruned_heads", ["{}"]), ("add_cross_attention", ["false"]), ("cross_attention_hidden_size", [])];

    /// <summary>Compares a configuration with the known keys.</summary>
    /// <param name="config">The configuration; reported as a fault unless it is an object.</param>
    /// <param name="file">Name of the file, for messages.</param>
    /// <param name="report">Takes faults and warnings.</param>
    /// <param name="path">Prefix of key names in messages, such as <c>vision_config.</c> for a nested configuration.</param>
    public void Check(JsonElement config, string file, ImportReport report, string path = "")
    {
        if (config.ValueKind != JsonValueKind.Object)
        {
            report.Faults.Add($"unsupported: {path.TrimEnd('.')} is {Quote(config)}, in {file}; this build reads an object there");
            return;
        }

        var known = $"{Computed} {Harmless}".Split(' ').ToHashSet(StringComparer.Ordinal);
        var only = Everywhere.Concat(Only).ToDictionary(rule => rule.Key, rule => rule.Values, StringComparer.Ordinal);
        var unknown = new List<string>();
        foreach (var member in config.EnumerateObject().Where(member => member.Value.ValueKind != JsonValueKind.Null))
        {
            if (member.Name == "quantization_config")
                report.Faults.Add($"unsupported: {file} has a quantization_config: {OtherWeights.Quantised}");
            else if (only.TryGetValue(member.Name, out var values))
            {
                if (!values.Any(value => Is(member.Value, value)))
                    report.Faults.Add($"unsupported: {path}{member.Name} is {Quote(member.Value)}, in {file}; this build computes "
                        + $"{(values.Length == 0 ? "a model without it" : string.Join(" or ", values))}");
            }
            else if (!known.Contains(member.Name)) unknown.Add(path + member.Name);
        }

        if (unknown.Count > 0)
            report.Warnings.Add($"{file} has keys that this build does not know and leaves out of account: {string.Join(", ", unknown)}");
    }

    private static bool Is(JsonElement value, string wanted) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString() == wanted,
        JsonValueKind.Number =>
            double.TryParse(wanted, CultureInfo.InvariantCulture, out var number)
            && value.TryGetDouble(out var given) && given.Equals(number),
        JsonValueKind.Object => wanted == "{}" && !value.EnumerateObject().Any(),
        JsonValueKind.Array => wanted == "[]" && value.GetArrayLength() == 0,
        _ => value.GetRawText() == wanted,
    };

    private static string Quote(JsonElement value)
    {
        var text = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
        return text.Length > LongestQuote ? $"{text[..LongestQuote]}…" : text;
    }
}
