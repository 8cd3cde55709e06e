using Flamingo.Checkpoints;

namespace Flamingo.Bench.Synthesis;

/// <summary>How a random weight is filled.</summary>
public enum Filling
{
    /// <summary>Normal, standard deviation 0.02.</summary>
    Random,

    /// <summary>1, for norms.</summary>
    One,

    /// <summary>0, for biases.</summary>
    Zero,

    /// <summary>0.1: a gate through tanh that lets something pass, so that its block counts.</summary>
    Gate,
}

/// <param name="Name">Canonical, see Flamingo.Checkpoints/NAMES.md.</param>
public sealed record SyntheticTensor(string Name, Filling Filling, params IReadOnlyList<long> Shape)
{
    public long Elements => Shape.Aggregate(1L, (product, size) => checked(product * size));

    /// <summary>Everything that <c>vision.safetensors</c> holds.</summary>
    public static IEnumerable<SyntheticTensor> Vision(VisionConfig vision)
    {
        long width = vision.Width, patch = vision.PatchSize, side = vision.ImageSize / vision.PatchSize;
        yield return new("class_embedding", Filling.Random, width);
        yield return new("positional_embedding", Filling.Random, 1 + (side * side), width);
        yield return new("conv1.weight", Filling.Random, width, 3, patch, patch);
        foreach (var tensor in Norm("ln_pre", width)) yield return tensor;
        for (var layer = 0; layer < vision.Layers; layer++)
        {
            var block = $"transformer.resblocks.{layer}";
            foreach (var tensor in Norm($"{block}.ln_1", width)) yield return tensor;
            yield return new($"{block}.attn.in_proj_weight", Filling.Random, 3 * width, width);
            yield return new($"{block}.attn.in_proj_bias", Filling.Zero, 3 * width);
            foreach (var tensor in Linear($"{block}.attn.out_proj", width, width)) yield return tensor;
            foreach (var tensor in Norm($"{block}.ln_2", width)) yield return tensor;
            foreach (var tensor in Linear($"{block}.mlp.c_fc", width, vision.FeedForwardWidth)) yield return tensor;
            foreach (var tensor in Linear($"{block}.mlp.c_proj", vision.FeedForwardWidth, width)) yield return tensor;
        }

        foreach (var tensor in Norm("ln_post", width)) yield return tensor;
        yield return new("proj", Filling.Random, width, vision.PooledWidth);
    }

    /// <summary>Everything that <c>resampler.safetensors</c> holds.</summary>
    public static IEnumerable<SyntheticTensor> Resampler(ResamplerConfig resampler)
    {
        long width = resampler.Width, inner = resampler.Heads * resampler.HeadWidth;
        yield return new("latents", Filling.Random, resampler.Latents, width);
        for (var layer = 0; layer < resampler.Layers; layer++)
        {
            foreach (var tensor in Norm($"layers.{layer}.0.norm_media", width)) yield return tensor;
            foreach (var tensor in Norm($"layers.{layer}.0.norm_latents", width)) yield return tensor;
            yield return new($"layers.{layer}.0.to_q.weight", Filling.Random, inner, width);
            yield return new($"layers.{layer}.0.to_kv.weight", Filling.Random, 2 * inner, width);
            yield return new($"layers.{layer}.0.to_out.weight", Filling.Random, width, inner);
            foreach (var tensor in Norm($"layers.{layer}.1.0", width)) yield return tensor;
            yield return new($"layers.{layer}.1.1.weight", Filling.Random, resampler.FeedForwardWidth, width);
            yield return new($"layers.{layer}.1.3.weight", Filling.Random, width, resampler.FeedForwardWidth);
        }

        foreach (var tensor in Norm("norm", width)) yield return tensor;
    }

    /// <summary>Everything that <c>language.safetensors</c> holds: an MPT decoder without biases, and its gated blocks.</summary>
    public static IEnumerable<SyntheticTensor> Language(LanguageConfig language)
    {
        long width = language.Width;
        yield return new("token_embedding.weight", Filling.Random, language.VocabularySize, width);
        yield return new("final_norm.weight", Filling.One, width);
        if (!language.TiedEmbeddings) yield return new("output.weight", Filling.Random, language.VocabularySize, width);
        for (var layer = 0; layer < language.Layers; layer++)
        {
            var name = $"layers.{layer}";
            yield return new($"{name}.attention_norm.weight", Filling.One, width);
            yield return new($"{name}.attention.query_key_value.weight", Filling.Random, 3 * width, width);
            if (language.QueryKeyNorm == "full_width")
            {
                yield return new($"{name}.attention.query_norm.weight", Filling.One, width);
                yield return new($"{name}.attention.key_norm.weight", Filling.One, width);
            }

            yield return new($"{name}.attention.output.weight", Filling.Random, width, width);
            yield return new($"{name}.feed_forward_norm.weight", Filling.One, width);
            yield return new($"{name}.feed_forward.up.weight", Filling.Random, language.FeedForwardWidth, width);
            yield return new($"{name}.feed_forward.down.weight", Filling.Random, width, language.FeedForwardWidth);
            if (!language.CrossAttention.Layers.Contains(layer)) continue;
            foreach (var tensor in GatedBlock(language.CrossAttention, width, $"{name}.gated_cross_attention")) yield return tensor;
        }
    }

    private static IEnumerable<SyntheticTensor> GatedBlock(CrossAttentionConfig cross, long width, string name)
    {
        long inner = cross.Heads * cross.HeadWidth;
        foreach (var tensor in Norm($"{name}.attention_norm", width)) yield return tensor;
        yield return new($"{name}.attention.query.weight", Filling.Random, inner, width);
        yield return new($"{name}.attention.key_value.weight", Filling.Random, 2 * inner, cross.LatentWidth);
        yield return new($"{name}.attention.output.weight", Filling.Random, width, inner);
        yield return new($"{name}.attention_gate", Filling.Gate, 1);
        foreach (var tensor in Norm($"{name}.feed_forward_norm", width)) yield return tensor;
        yield return new($"{name}.feed_forward.up.weight", Filling.Random, cross.FeedForwardWidth, width);
        yield return new($"{name}.feed_forward.down.weight", Filling.Random, width, cross.FeedForwardWidth);
        yield return new($"{name}.feed_forward_gate", Filling.Gate, 1);
    }

    private static SyntheticTensor[] Norm(string name, long width) => [new($"{name}.weight", Filling.One, width), new($"{name}.bias", Filling.Zero, width)];

    private static SyntheticTensor[] Linear(string name, long inputs, long outputs) => [new($"{name}.weight", Filling.Random, outputs, inputs), new($"{name}.bias", Filling.Zero, outputs)];
}
