using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network;
using Flamingo.Modeling.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.Training.Network;

/// <summary>
/// The resampler and the language model with its gated blocks, in torch's differentiable operations: what
/// <c>Flamingo.Resampler.Network</c> and <c>Flamingo.LanguageModel.Network</c> compute without gradients, for whole sequences at once and
/// for all families. A test holds both to each other. Sources: Flamingo (Alayrac et al. 2022), OpenFlamingo 2.0.1, IDEFICS.
/// </summary>
/// <param name="config">Sizes and forms.</param>
/// <param name="weights">Weights in training.</param>
public sealed class BridgeNetwork(ModelConfig config, BridgeWeights weights)
{
    private readonly LanguageConfig _language = config.Language;
    private readonly float[]? _slopes =
        config.Language.Positions == "alibi" ? Alibi.Slopes(config.Language.Heads, config.Language.AlibiMaxBias) : null;

    /// <summary>Latents of pictures.</summary>
    /// <param name="features">Features of the vision encoder, [pictures, patches, width].</param>
    /// <returns>[pictures, latents, width]</returns>
    public Tensor Resample(Tensor features)
    {
        var shape = config.Resampler;
        if (shape.PassesOn) return features;
        var (media, pictures) = (features.to(weights.Dtype), features.shape[0]);
        // One still picture has the first row of the frame and of the media time embeddings, where a checkpoint has them.
        foreach (var name in new[] { "frame_embs", "media_time_embs" })
            if (weights.Find(BridgeWeights.Resampler + name) is { } embedding) media = media.Plus(embedding[0].view(1, 1, shape.Width));
        var latents = weights[$"{BridgeWeights.Resampler}latents"].expand(pictures, -1, -1);        // [pictures, latents, width]
        for (var layer = 0; layer < shape.Layers; layer++)
        {
            var name = $"{BridgeWeights.Resampler}layers.{layer}";
            var normed = LayerNorm($"{name}.0.norm_latents", latents, shape.LayerNormEpsilon);
            var keyValue = Linear($"{name}.0.to_kv",
                cat([LayerNorm($"{name}.0.norm_media", media, shape.LayerNormEpsilon), normed], 1)).chunk(2, -1);
            var query = Heads(Linear($"{name}.0.to_q", normed), shape.Heads);                       // [pictures, heads, latents, head]
            var key = Heads(keyValue[0], shape.Heads);
            if (shape.QueryKeyNorm == "per_head")
                (query, key) = (LayerNorm($"{name}.0.norm_q", query, shape.LayerNormEpsilon),
                    LayerNorm($"{name}.0.norm_k", key, shape.LayerNormEpsilon));
            var mixed = F.scaled_dot_product_attention(query, key, Heads(keyValue[1], shape.Heads));
            latents = Linear($"{name}.0.to_out", Joined(mixed)).Plus(latents);
            var hidden = Linear($"{name}.1.1", LayerNorm($"{name}.1.0", latents, shape.LayerNormEpsilon));
            latents = Linear($"{name}.1.3", shape.Activation == "relu" ? F.relu(hidden) : F.gelu(hidden)).Plus(latents);
        }

        return LayerNorm($"{BridgeWeights.Resampler}norm", latents, shape.LayerNormEpsilon);
    }

    /// <summary>Token embeddings with the trained rows in their places.</summary>
    /// <returns>[sequences, tokens, width]</returns>
    public Tensor Embed(TrainingBatch batch)
    {
        var flat = batch.Ids.SelectMany(ids => ids).ToArray();
        var x = weights["token_embedding.weight"].index_select(0, tensor(flat, ScalarType.Int64));  // [sequences × tokens, width]
        if (weights.Find(BridgeWeights.Rows) is { } rows)
        {
            var special = flat.Index().Select(item => (item.Index, Row: Array.IndexOf(weights.SpecialIds, item.Item)))
                .Where(item => item.Row >= 0).ToArray();
            if (special.Length > 0)
                x = x.index_copy(0, tensor(special.Select(item => (long)item.Index).ToArray()),
                    rows.index_select(0, tensor(special.Select(item => (long)item.Row).ToArray())));
        }

        return x.view(batch.Ids.Length, batch.Length, _language.Width);
    }

    /// <summary>What the layers of one step share.</summary>
    public BridgeStep Prepare(TrainingBatch batch)
    {
        var seen = batch.Ids.Select((ids, sequence) => Seen(ids, batch.Pictures[sequence].Length)).ToArray();
        var step = new BridgeStep(batch, seen, TextBias(batch.Length), _language.Positions == "rotary" ? Rotation(batch.Length) : null);
        // The mask is made here because it must outlive the scope of any one layer.
        if (step.SeesPictures) step.PictureBias(config.Resampler.Latents, weights.Dtype);
        return step;
    }

    /// <summary>One decoder layer, with the gated block before it where there is one.</summary>
    /// <param name="x">[sequences, tokens, width]</param>
    /// <param name="latents">[pictures of the step, latents, width]; null leaves the gated blocks out.</param>
    /// <returns>[sequences, tokens, width]</returns>
    public Tensor Layer(int layer, Tensor x, Tensor? latents, BridgeStep step)
    {
        var name = $"layers.{layer}";
        if (latents is not null && _language.CrossAttention.Layers.Contains(layer))
            x = Gated($"{name}.gated_cross_attention", x, latents, step);
        var attended = x.Plus(Attend(name, Norm($"{name}.attention_norm", x), step));
        return attended.Plus(FeedForward($"{name}.feed_forward", _language.FeedForward,
            Norm($"{name}.feed_forward_norm", _language.ParallelResidual ? x : attended)));
    }

    /// <summary>All layers.</summary>
    /// <param name="features">Features of the batch's pictures, [pictures, patches, width].</param>
    /// <returns>What the last layer returns, [sequences, tokens, width].</returns>
    public Tensor Forward(TrainingBatch batch, Tensor features)
    {
        var (latents, step, x) = (Resample(features), Prepare(batch), Embed(batch));
        for (var layer = 0; layer < _language.Layers; layer++) x = Layer(layer, x, latents, step);
        return x;
    }

    /// <summary>Logits at some places.</summary>
    /// <param name="x">What the last layer returned, [sequences, tokens, width].</param>
    /// <param name="places">Places, sequence × tokens + token.</param>
    /// <returns>f32 [places, vocabulary]</returns>
    public Tensor Logits(Tensor x, long[] places)
    {
        var hidden = Norm("final_norm", x.view(-1, _language.Width).index_select(0, tensor(places)));
        if (!_language.TiedEmbeddings) return Linear("output", hidden).to(ScalarType.Float32);
        var logits = hidden.matmul(weights["token_embedding.weight"].t());
        if (weights.Find(BridgeWeights.Rows) is { } rows)
            logits = logits.index_copy(1, tensor(weights.SpecialIds), hidden.matmul(rows.t()));
        return logits.to(ScalarType.Float32);
    }

    /// <summary>Mean cross-entropy over the labels that count.</summary>
    /// <param name="x">What the last layer returned, [sequences, tokens, width].</param>
    /// <returns>f32, a scalar</returns>
    public Tensor Loss(Tensor x, TrainingBatch batch)
    {
        var counted = batch.Places.ToList();
        var (places, labels) = (counted.Select(one => one.Place).ToArray(), counted.Select(one => one.Label).ToArray());
        return F.cross_entropy(Logits(x, places), tensor(labels));
    }

    /// <summary>For each token, which of its sequence's pictures it sees: the last one at or before it, counted from 1; 0 is
    /// none.</summary>
    private int[] Seen(int[] ids, int pictures)
    {
        var (seen, count, hidden) = (new int[ids.Length], 0, false);
        for (var token = 0; token < ids.Length; token++)
        {
            if (ids[token] == config.Tokens.Image.Id) (count, hidden) = (Math.Min(count + 1, pictures), false);
            seen[token] = hidden ? 0 : count;
            if (config.Tokens.HidesPictures?.Contains(ids[token]) == true) hidden = true;
        }

        return seen;
    }

    // GATED XATTN-DENSE. Rows without a picture get zero attention; the feed-forward is applied to every row.
    private Tensor Gated(string name, Tensor x, Tensor latents, BridgeStep step)
    {
        var shape = _language.CrossAttention;
        if (step.SeesPictures)
        {
            var normed = Norm($"{name}.attention_norm", x, shape.Norm, shape.LayerNormEpsilon);
            var query = Heads(Linear($"{name}.attention.query", normed), shape.Heads);              // [sequences, heads, tokens, head]
            var keyValue = Linear($"{name}.attention.key_value", step.Gather(latents)).chunk(2, -1); // [sequences, media × latents, …]
            var key = Heads(keyValue[0], shape.Heads);
            if (shape.QueryKeyNorm == "per_head")
                (query, key) = (Norm($"{name}.attention.query_norm", query, shape.Norm, shape.LayerNormEpsilon),
                    Norm($"{name}.attention.key_norm", key, shape.Norm, shape.LayerNormEpsilon));
            var mixed = F.scaled_dot_product_attention(
                query, key, Heads(keyValue[1], shape.Heads), step.PictureBias((int)latents.shape[1], weights.Dtype));
            mixed = mixed * step.SeesAny(weights.Dtype);
            x = x.Plus(Linear($"{name}.attention.output", Joined(mixed)) * weights[$"{name}.attention_gate"].tanh());
        }

        var hidden = Norm($"{name}.feed_forward_norm", x, shape.Norm, shape.LayerNormEpsilon);
        return x.Plus(FeedForward($"{name}.feed_forward", shape.FeedForward, hidden) * weights[$"{name}.feed_forward_gate"].tanh());
    }

    private Tensor Attend(string name, Tensor x, BridgeStep step)
    {
        var parts = Linear($"{name}.attention.query_key_value", x)
            .split([_language.Width, _language.KeyValueWidth, _language.KeyValueWidth], -1);
        var (query, key) = (parts[0], parts[1]);
        if (_language.QueryKeyNorm == "full_width")
            (query, key) = (Norm($"{name}.attention.query_norm", query), Norm($"{name}.attention.key_norm", key));
        var few = _language.KeyValueHeads ?? _language.Heads;
        (query, key, var value) = (Heads(query, _language.Heads), Heads(key, few), Heads(parts[2], few));
        if (step.Rotation is { } rotation) (query, key) = (Rotate(query, rotation), Rotate(key, rotation));
        if (few != _language.Heads)
            (key, value) = (key.repeat_interleave(_language.Heads / few, 1), value.repeat_interleave(_language.Heads / few, 1));
        return Linear($"{name}.attention.output",
            Joined(F.scaled_dot_product_attention(query, key, value, step.TextBias.to(weights.Dtype))));
    }

    private Tensor FeedForward(string name, string kind, Tensor x)
    {
        var hidden = Linear($"{name}.up", x);
        return Linear($"{name}.down", kind == "swiglu" ? F.silu(Linear($"{name}.gate", x)) * hidden : F.gelu(hidden));
    }

    private Tensor Linear(string name, Tensor x) => F.linear(x, weights[$"{name}.weight"], weights.Find($"{name}.bias"));

    private Tensor Norm(string name, Tensor x) => Norm(name, x, _language.Norm, _language.NormEpsilon);

    private Tensor Norm(string name, Tensor x, string kind, double epsilon)
    {
        if (kind == "layer_norm") return LayerNorm(name, x, epsilon);
        var wide = x.to(ScalarType.Float32);
        var square = (wide * wide).mean([-1], keepdim: true).add(Scalars.Of(epsilon), Scalars.One);
        return (wide * square.rsqrt()).to(x.dtype) * weights[$"{name}.weight"];
    }

    private Tensor LayerNorm(string name, Tensor x, double epsilon) =>
        F.layer_norm(x, [x.shape[^1]], weights[$"{name}.weight"], weights.Find($"{name}.bias"), epsilon);

    private static Tensor Heads(Tensor x, int heads) => x.unflatten(x.dim() - 1, [heads, -1]).transpose(1, 2); // [batch, heads, rows, head]

    private static Tensor Joined(Tensor x) => x.transpose(1, 2).flatten(2);                            // [batch, rows, heads × head]

    // Causal mask, and the slopes of ALiBi where the model has them: f32 [1, heads or 1, tokens, tokens].
    private Tensor TextBias(int length)
    {
        var bias = full([length, length], Scalars.Of(float.NegativeInfinity), ScalarType.Float32).triu(1);
        if (_slopes is null) return bias.view(1, 1, length, length);
        var places = Scalars.Range(length, ScalarType.Float32, CPU);
        var distance = (places.view(1, length) - places.view(length, 1)).tril();                       // key − query, up to 0
        return (tensor(_slopes).view(1, -1, 1, 1) * distance.view(1, 1, length, length)).Plus(bias);
    }

    // Angles are f32 and rounded as in Flamingo.LanguageModel.Network.Rotary.
    private (Tensor Cosines, Tensor Sines) Rotation(int length)
    {
        var half = (int)(_language.HeadWidth * _language.RotaryFraction) / 2;
        var angles = new double[length * half];
        for (var at = 0; at < angles.Length; at++)
            angles[at] = at / half * (1f / MathF.Pow((float)_language.RotaryBase, 2f * (at % half) / (2 * half)));
        Tensor Table(Func<double, double> function) =>
            tensor(angles.Select(angle => (float)function(angle)).ToArray(), [1, 1, length, half]);
        return (Table(Math.Cos), Table(Math.Sin));
    }

    private Tensor Rotate(Tensor x, (Tensor Cosines, Tensor Sines) rotation)                           // [sequences, heads, tokens, head]
    {
        var (half, head) = (rotation.Cosines.shape[3], x.shape[3]);
        var (first, second) = (x.slice(3, 0, half, 1), x.slice(3, half, 2 * half, 1));
        var rotated = cat([(first * rotation.Cosines) - (second * rotation.Sines),
            (second * rotation.Cosines).Plus(first * rotation.Sines)], 3).to(x.dtype);
        return 2 * half == head ? rotated : cat([rotated, x.slice(3, 2 * half, head, 1)], 3);
    }
}
