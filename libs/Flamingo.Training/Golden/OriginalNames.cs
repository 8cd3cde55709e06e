using Flamingo.Checkpoints;
using Flamingo.Training.Network;

namespace Flamingo.Training.Golden;

/// <summary>
/// Names that OpenFlamingo's training gives to the weights of a bridge in checkpoint.pt. They depend on the family of the language model,
/// whose lists and embeddings keep the names of Hugging Face.
/// </summary>
public sealed class OriginalNames
{
    private static readonly (string Own, string Original)[] Gated =
    [
        ("attention_norm.", "attn.norm."), ("attention.query.", "attn.to_q."), ("attention.key_value.", "attn.to_kv."),
        ("attention.output.", "attn.to_out."), ("attention_gate", "attn_gate"), ("feed_forward_norm.", "ff.0."),
        ("feed_forward.up.", "ff.1."), ("feed_forward.down.", "ff.3."), ("feed_forward_gate", "ff_gate"),
    ];

    private readonly string _layers;

    /// <exception cref="CheckpointException">OpenFlamingo has no such language model.</exception>
    public OriginalNames(LanguageConfig language)
    {
        (_layers, Embedding, Head) = (language.Positions, language.Norm) switch
        {
            ("alibi", _) => ("transformer.blocks", "lang_encoder.transformer.wte.weight", "lang_encoder.lm_head.weight"),
            ("rotary", "layer_norm") => ("gpt_neox.layers", "lang_encoder.gpt_neox.embed_in.weight", "lang_encoder.embed_out.weight"),
            ("rotary", "rms_norm") => ("model.layers", "lang_encoder.model.embed_tokens.weight", "lang_encoder.lm_head.weight"),
            _ => throw new CheckpointException(
                $"OpenFlamingo has no language model with {language.Positions} positions and {language.Norm}."),
        };
        SavesHead = (language.Positions, language.Norm) == ("rotary", "layer_norm");
        // mosaic_gpt, which alone normalises queries and keys, computes logits from its embedding and has no module for a head.
        HasTiedHead = language.Positions != "alibi" || language.QueryKeyNorm == "none";
        if (language.CrossAttention.Norm != "layer_norm" || language.CrossAttention.QueryKeyNorm != "none"
            || language.CrossAttention.FeedForward != "gelu")
            throw new CheckpointException("These gated blocks are not OpenFlamingo's, so its checkpoint cannot hold them.");
    }

    /// <summary>Name of the token embedding.</summary>
    public string Embedding { get; }

    /// <summary>Name of the output projection.</summary>
    public string Head { get; }

    /// <summary>Whether a tied output projection is a second name of the token embedding in a state dict.</summary>
    public bool HasTiedHead { get; }

    /// <summary>Whether checkpoint.pt holds an untied output projection, because the original calls it an embedding.</summary>
    public bool SavesHead { get; }

    /// <param name="name">Name of a trained weight in <see cref="BridgeWeights"/>, except <see cref="BridgeWeights.Rows"/>.</param>
    /// <exception cref="CheckpointException">OpenFlamingo has no such weight.</exception>
    public string Of(string name)
    {
        if (name.StartsWith(BridgeWeights.Resampler, StringComparison.Ordinal))
            return $"perceiver.{name[BridgeWeights.Resampler.Length..]}";
        if (name.Split('.', 4) is ["layers", var layer, "gated_cross_attention", var rest])
            foreach (var (own, original) in Gated)
                if (rest.StartsWith(own, StringComparison.Ordinal))
                    return $"lang_encoder.{_layers}.{layer}.gated_cross_attn_layer.{original}{rest[own.Length..]}";
        throw new CheckpointException($"OpenFlamingo's checkpoint has no place for {name}.");
    }
}
