using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Flamingo.Checkpoints;
using Flamingo.Import.Languages;
using Flamingo.Import.Sources;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>Combines a Hugging Face language model with the gated blocks and the embeddings of checkpoint.pt.</summary>
internal static partial class LanguageTranslation
{
    // Published buffers that this build computes itself: rotary frequencies, causal masks and ALiBi biases.
    private static readonly string[] Buffers = [".rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias", ".attn.attn_bias"];

    // Second names of tensors that the checkpoint also holds under their first name. Version 1 saved the gated blocks twice; both versions
    // save the original decoder layers beside the layers that wrap them.
    private static readonly string[] SecondNames = ["lang_encoder.gated_cross_attn_layers.", "lang_encoder.old_decoder_blocks."];

    /// <param name="language">Weights of the language model as Hugging Face publishes them.</param>
    /// <param name="configFile">Path of the language model's config.json.</param>
    /// <param name="checkpoint">Collector of the tensors of checkpoint.pt that belong to the language model.</param>
    /// <param name="every">Interval of the gated blocks (see <see cref="OpenFlamingoSource"/>).</param>
    /// <param name="latentWidth">Width of the latents that the gated blocks attend to.</param>
    /// <param name="report">Takes faults, warnings and notes.</param>
    public static (LanguageConfig Config, Dictionary<string, SourceTensor> Tensors) Translate(WeightSource language, string configFile,
        WeightCollector checkpoint, int every, int latentWidth, ImportReport report)
    {
        using var json = ConfigJson.Open(configFile);
        var family = FamilyOf(json.RootElement, configFile);
        family.CheckKeys(configFile, report);
        CheckInterval(checkpoint, family, configFile, every);
        var weights = new WeightCollector(language, "the language weights", report.Faults);
        // Training resized the embedding, so the checkpoint decides the number of its rows, not the language model.
        var vocabulary = checkpoint.ShapeOf($"lang_encoder.{family.Embedding}", 2)?[0] ?? 0;
        checkpoint.Take("token_embedding.weight", $"lang_encoder.{family.Embedding}", vocabulary, family.Width);
        if (family.Head is { } head) TakeHead(weights, checkpoint, head, vocabulary, family.Width, report.Notes);

        var gated = Enumerable.Range(0, family.LayerCount).Where(layer => (layer + 1) % every == 0).ToArray();
        var hidden = gated.Length == 0 ? 0 : TakeGated(checkpoint, family.Layers, gated, family.Width, latentWidth);
        var config = family.Take(weights, (int)vocabulary,
            new CrossAttentionConfig { Layers = gated, Heads = ResamplerTranslation.Heads, HeadWidth = ResamplerTranslation.HeadWidth,
                LatentWidth = latentWidth, FeedForwardWidth = hidden });

        foreach (var collector in new[] { weights, checkpoint })
            collector.Ignore(name => Buffers.Any(buffer => name.EndsWith(buffer, StringComparison.Ordinal)));
        weights.Ignore(name => name == family.Embedding || name is "lm_head.weight" or "embed_out.weight");
        checkpoint.Ignore(name =>
            name is "lang_encoder.lm_head.weight" or "lang_encoder.embed_out.weight"
                || SecondNames.Any(second => name.StartsWith(second, StringComparison.Ordinal)));
        weights.ReportUnused();
        return (config, weights.Tensors.Concat(checkpoint.Tensors).ToDictionary());
    }

    /// <exception cref="CheckpointException">This build reads no such language model.</exception>
    public static ILanguageFamily FamilyOf(JsonElement config, string file) => config.GetProperty("model_type").GetString() switch
    {
        "mosaic_gpt" or "mpt" => new Mpt(config),
        "gpt_neox" => new GptNeoX(config),
        "llama" => new Llama(config),
        var other =>
            throw new CheckpointException($"{file}: model_type '{other}' is not read; this build imports mosaic_gpt (MPT-1B), mpt "
                + "(MPT-7B), gpt_neox (RedPajama-INCITE, Pythia) and llama."),
    };

    /// <summary>Compares --cross-attention-every with the layers that have gated blocks in the checkpoint.</summary>
    private static void CheckInterval(WeightCollector checkpoint, ILanguageFamily family, string file, int every)
    {
        var blocks = checkpoint.Names.Select(name => GatedBlock().Match(name)).Where(match => match.Success)
            .Select(match => (List: match.Groups[1].Value, Layer: int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture)))
            .Distinct().ToList();
        if (blocks.Count == 0) throw new CheckpointException(
            "The checkpoint holds no gated blocks (lang_encoder.….gated_cross_attn_layer.…): it is not what OpenFlamingo's training "
            + "writes. Name its checkpoint.pt with --checkpoint.");
        if (blocks.Find(block => block.List != family.Layers) is { List: { } other })
            throw new CheckpointException(
                $"The checkpoint has its gated blocks in lang_encoder.{other}, the language model has its layers in {family.Layers}: "
                + "they are of two families. Name the language model with which the checkpoint was trained with --language.");
        var layers = blocks.Select(block => block.Layer).Order().ToList();
        IEnumerable<int> Expected(int interval) => Enumerable.Range(0, family.LayerCount).Where(layer => (layer + 1) % interval == 0);
        // If less than half of the expected blocks are missing, the import names each missing tensor instead.
        if (Expected(every).Intersect(layers).Any() && !layers.Except(Expected(every)).Any()
            && layers.Count * 2 > Expected(every).Count()) return;
        throw new CheckpointException(
            $"The checkpoint has gated blocks before the layers {string.Join(", ", layers)} (counted from 0) of the {family.LayerCount} "
            + $"layers that {file} names, which is not --cross-attention-every {every}. "
            + (Expected(layers[0] + 1).SequenceEqual(layers) ? $"It is --cross-attention-every {layers[0] + 1}."
                : "No value of --cross-attention-every fits: --language names another model than the one that the checkpoint was "
                    + "trained with, or the checkpoint is incomplete."));
    }

    [GeneratedRegex(@"^lang_encoder\.([\w.]+)\.([0-9]{1,5})\.gated_cross_attn_layer\.")]
    private static partial Regex GatedBlock();

    // checkpoint.pt holds an untied output projection only if it is called an embedding (GPT-NeoX's embed_out); that of LLaMA is in the
    // language model's own files.
    private static void TakeHead(WeightCollector weights, WeightCollector checkpoint, string name, long vocabulary, int width,
        List<string> notes)
    {
        var (from, full) = checkpoint.Has($"lang_encoder.{name}") ? (checkpoint, $"lang_encoder.{name}") : (weights, name);
        if (from.ShapeOf(full, 2)?[0] is not { } rows || from.Find(full, rows, width) is not { } head) return;
        if (rows < vocabulary)
            notes.Add($"{name} has {rows} rows and the embeddings {vocabulary}: the last {vocabulary - rows} tokens get logits of zero");
        if (rows > vocabulary)
            notes.Add($"{name} has {rows} rows and the embeddings {vocabulary}: the last {rows - vocabulary} rows are left out");
        from.Put("output.weight", Rows.Fit(head, vocabulary));
    }

    private static int TakeGated(WeightCollector checkpoint, string list, int[] layers, int width, int latentWidth)
    {
        const int Inner = ResamplerTranslation.Heads * ResamplerTranslation.HeadWidth;
        // OpenFlamingo keeps the name that the language model gives its list of layers.
        string Source(int layer) => $"lang_encoder.{list}.{layer}.gated_cross_attn_layer";
        var hidden = checkpoint.ShapeOf($"{Source(layers[0])}.ff.1.weight", 2)?[0] ?? 0;
        foreach (var layer in layers)
        {
            var (to, from) = ($"layers.{layer}.gated_cross_attention", Source(layer));
            checkpoint.TakeNorm($"{to}.attention_norm", $"{from}.attn.norm", width, bias: true);
            checkpoint.TakeNorm($"{to}.feed_forward_norm", $"{from}.ff.0", width, bias: true);
            checkpoint.Take($"{to}.attention.query.weight", $"{from}.attn.to_q.weight", Inner, width);
            checkpoint.Take($"{to}.attention.key_value.weight", $"{from}.attn.to_kv.weight", 2 * Inner, latentWidth);
            checkpoint.Take($"{to}.attention.output.weight", $"{from}.attn.to_out.weight", width, Inner);
            checkpoint.Take($"{to}.attention_gate", $"{from}.attn_gate", 1);
            checkpoint.Take($"{to}.feed_forward.up.weight", $"{from}.ff.1.weight", hidden, width);
            checkpoint.Take($"{to}.feed_forward.down.weight", $"{from}.ff.3.weight", width, hidden);
            checkpoint.Take($"{to}.feed_forward_gate", $"{from}.ff_gate", 1);
        }

        return (int)hidden;
    }
}
