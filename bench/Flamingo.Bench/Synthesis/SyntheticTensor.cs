using Flamingo.Checkpoints;

namespace Flamingo.Bench.Synthesis;

/// <summary>The values with which a synthetic weight is filled.</summary>
public enum Filling
{
    /// <summary>A normal distribution with standard deviation 0.02.</summary>
    Random,

    /// <summary>1, for norms.</summary>
    One,

    /// <summary>0, for biases.</summary>
    Zero,

    /// <summary>0.1, for gates: the tanh of a gate is then not zero, so that its block affects the result.</summary>
    Gate,
}

/// <param name="Name">Canonical name, see Flamingo.Checkpoints/NAMES.md.</param>
public sealed record SyntheticTensor(string Name, Filling Filling, params IReadOnlyList<long> Shape)
{
    public long Elements => Shape.Aggregate(1L, (product, size) => checked(product * size));

    /// <summary>The tensors of all parts of a model.</summary>
    public static IEnumerable<SyntheticTensor> Of(
        Geometry geometry) =>
            [.. Vision(geometry.Vision), .. Resampler(geometry.Resampler), .. Language(geometry.Language, geometry.Biases)];

    /// <summary>The tensors of <c>vision.safetensors</c>.</summary>
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

        if (vision.PooledWidth == 0) yield break;
        foreach (var tensor in Norm("ln_post", width)) yield return tensor;
        yield return new("proj", Filling.Random, width, vision.PooledWidth);
    }

    /// <summary>The tensors of <c>resampler.safetensors</c>.</summary>
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
            if (resampler.QueryKeyNorm == "per_head")
                foreach (var tensor in Norm($"layers.{layer}.0.norm_q", resampler.HeadWidth)
                    .Concat(Norm($"layers.{layer}.0.norm_k", resampler.HeadWidth))) yield return tensor;
            foreach (var tensor in Norm($"layers.{layer}.1.0", width)) yield return tensor;
            yield return new($"layers.{layer}.1.1.weight", Filling.Random, resampler.FeedForwardWidth, width);
            yield return new($"layers.{layer}.1.3.weight", Filling.Random, width, resampler.FeedForwardWidth);
        }

        foreach (var tensor in Norm("norm", width)) yield return tensor;
    }

    /// <summary>The tensors of <c>language.safetensors</c>: the decoder and its gated blocks.</summary>
    /// <param name="biases">Whether the decoder's linear layers and norms have biases; gated blocks have biases only in a
    /// LayerNorm.</param>
    public static IEnumerable<SyntheticTensor> Language(LanguageConfig language, bool biases = false)
    {
        long width = language.Width;
        IEnumerable<SyntheticTensor> Norms(string name, long size) => Norm(name, size).Take(biases ? 2 : 1);
        IEnumerable<SyntheticTensor> Linears(string name, long inputs, long outputs) => Linear(name, inputs, outputs).Take(biases ? 2 : 1);

        var tensors = new List<SyntheticTensor> { new("token_embedding.weight", Filling.Random, language.VocabularySize, width) };
        tensors.AddRange(Norms("final_norm", width));
        if (!language.TiedEmbeddings) tensors.Add(new("output.weight", Filling.Random, language.VocabularySize, width));
        for (var layer = 0; layer < language.Layers; layer++)
        {
            var name = $"layers.{layer}";
            tensors.AddRange(Norms($"{name}.attention_norm", width));
            tensors.AddRange(Linears($"{name}.attention.query_key_value", width, width + (2 * language.KeyValueWidth)));
            if (language.QueryKeyNorm == "full_width")
            {
                tensors.AddRange(Norms($"{name}.attention.query_norm", width));
                tensors.AddRange(Norms($"{name}.attention.key_norm", language.KeyValueWidth));
            }

            tensors.AddRange(Linears($"{name}.attention.output", width, width));
            tensors.AddRange(Norms($"{name}.feed_forward_norm", width));
            tensors.AddRange(Linears($"{name}.feed_forward.up", width, language.FeedForwardWidth));
            if (language.FeedForward == "swiglu") tensors.AddRange(Linears($"{name}.feed_forward.gate", width, language.FeedForwardWidth));
            tensors.AddRange(Linears($"{name}.feed_forward.down", language.FeedForwardWidth, width));
            if (language.CrossAttention.Layers.Contains(layer))
                tensors.AddRange(GatedBlock(language.CrossAttention, width, $"{name}.gated_cross_attention"));
        }

        return tensors;
    }

    private static IEnumerable<SyntheticTensor> GatedBlock(CrossAttentionConfig cross, long width, string name)
    {
        long inner = cross.Heads * cross.HeadWidth, gates = cross.VectorGates ? width : 1;
        IEnumerable<SyntheticTensor> Norms(string part, long size) => Norm($"{name}.{part}", size).Take(cross.Norm == "layer_norm" ? 2 : 1);
        SyntheticTensor Weight(string part, long inputs, long outputs) => new($"{name}.{part}.weight", Filling.Random, outputs, inputs);

        var tensors = new List<SyntheticTensor> { Weight("attention.query", width, inner),
            Weight("attention.key_value", cross.LatentWidth, 2 * inner), Weight("attention.output", inner, width) };
        tensors.AddRange(Norms("attention_norm", width));
        if (cross.QueryKeyNorm == "per_head")
            tensors.AddRange([.. Norms("attention.query_norm", cross.HeadWidth), .. Norms("attention.key_norm", cross.HeadWidth)]);
        tensors.AddRange(Norms("feed_forward_norm", width));
        tensors.AddRange([Weight("feed_forward.up", width, cross.FeedForwardWidth),
            Weight("feed_forward.down", cross.FeedForwardWidth, width)]);
        if (cross.FeedForward == "swiglu") tensors.Add(Weight("feed_forward.gate", width, cross.FeedForwardWidth));
        tensors.AddRange([new($"{name}.attention_gate", Filling.Gate, gates), new($"{name}.feed_forward_gate", Filling.Gate, gates)]);
        return tensors;
    }

    private static SyntheticTensor[] Norm(string name,
        long width) => [new($"{name}.weight", Filling.One, width), new($"{name}.bias", Filling.Zero, width)];

    private static SyntheticTensor[] Linear(string name, long inputs,
        long outputs) => [new($"{name}.weight", Filling.Random, outputs, inputs), new($"{name}.bias", Filling.Zero, outputs)];
}
