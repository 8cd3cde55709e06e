using System.Runtime.InteropServices;
using Flamingo.Checkpoints;
using Flamingo.Import.Languages;
using Flamingo.Import.Sources;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>
/// What stands in for checkpoint.pt before any training: a resampler and gated blocks with the original's initial values, under its names,
/// and embeddings that have rows for the added tokens. Values are computed when a tensor is read.
/// </summary>
/// <param name="Latents">Latents of one picture, 1 or more.</param>
/// <param name="Depth">Layers of the resampler, 1 or more.</param>
/// <param name="Seed">Chooses the random values.</param>
internal sealed record NewBridge(int Latents, int Depth, long Seed)
{
    private const int Inner = ResamplerTranslation.Heads * ResamplerTranslation.HeadWidth;
    private const int Widening = 4; // The feed-forward of resampler and gated blocks is four times as wide as what it reads.

    /// <param name="source">Names the parts and the interval of the gated blocks.</param>
    /// <param name="vision">The vision tower, whose width the latents have.</param>
    /// <param name="configFile">Path of the language model's config.json.</param>
    /// <param name="language">Weights of the language model.</param>
    /// <param name="vocabulary">Returns the number of rows that the tokenizer needs, with the added tokens.</param>
    /// <param name="report">Takes notes.</param>
    /// <exception cref="CheckpointException">No layer gets a gated block, or the embeddings are missing.</exception>
    public WeightSource Create(OpenFlamingoSource source, VisionConfig vision, string configFile, WeightSource language,
        Func<int> vocabulary, ImportReport report)
    {
        using var json = ConfigJson.Open(configFile);
        var family = LanguageTranslation.FamilyOf(json.RootElement, configFile);
        if (source.CrossAttentionEvery > family.LayerCount)
            throw new CheckpointException($"--cross-attention-every {source.CrossAttentionEvery} gives no layer a gated block: "
                + $"{configFile} has {family.LayerCount} layers. Take a number from 1 to {family.LayerCount}.");
        var (tensors, rows) = (Resampler(vision.Width), vocabulary());
        foreach (var layer in Enumerable.Range(0, family.LayerCount).Where(layer => (layer + 1) % source.CrossAttentionEvery == 0))
            tensors.AddRange(Gated($"lang_encoder.{family.Layers}.{layer}.gated_cross_attn_layer", family.Width, vision.Width));
        foreach (var name in new[] { family.Embedding, family.Head }.OfType<string>())
            tensors.Add(Resized(name, language, rows, report.Notes));
        return WeightSource.Of("the new bridge", tensors);
    }

    private List<SourceTensor> Resampler(int width)
    {
        List<SourceTensor> tensors = [Normal("perceiver.latents", Latents, width), .. Norm("perceiver.norm", width)];
        foreach (var layer in Enumerable.Range(0, Depth).Select(layer => $"perceiver.layers.{layer}"))
            tensors.AddRange([.. Norm($"{layer}.0.norm_media", width), .. Norm($"{layer}.0.norm_latents", width),
                Linear($"{layer}.0.to_q.weight", Inner, width), Linear($"{layer}.0.to_kv.weight", 2 * Inner, width),
                Linear($"{layer}.0.to_out.weight", width, Inner), .. Norm($"{layer}.1.0", width),
                Linear($"{layer}.1.1.weight", Widening * width, width), Linear($"{layer}.1.3.weight", width, Widening * width)]);
        return tensors;
    }

    private IEnumerable<SourceTensor> Gated(string name, int width, int latentWidth) =>
    [
        // With gates at zero the language model computes what it computed before.
        Filled($"{name}.attn_gate", 0, 1), Filled($"{name}.ff_gate", 0, 1),
        .. Norm($"{name}.attn.norm", width), Linear($"{name}.attn.to_q.weight", Inner, width),
        Linear($"{name}.attn.to_kv.weight", 2 * Inner, latentWidth), Linear($"{name}.attn.to_out.weight", width, Inner),
        .. Norm($"{name}.ff.0", width), Linear($"{name}.ff.1.weight", Widening * width, width),
        Linear($"{name}.ff.3.weight", width, Widening * width),
    ];

    /// <summary>
    /// An embedding or output projection with one row per token. As resize_token_embeddings of transformers does, rows that exist are kept
    /// and surplus ones are cut. A new row is drawn with the mean and the standard deviation that each column has in the other rows, so
    /// that it is as large as the row of any token. The mean alone would not do: the logit of the mean row is the mean of all logits and
    /// never the largest, and in an output projection, which training leaves alone, &lt;|endofchunk|&gt; could then never be an answer's
    /// most likely token.
    /// </summary>
    private SourceTensor Resized(string name, WeightSource language, int rows, List<string> notes)
    {
        if (!language.Tensors.TryGetValue(name, out var known) || known.Shape is not [> 0 and var before, > 0 and var width]
            || !WeightDtypes.All.Contains(known.Dtype))
            throw new CheckpointException($"{language.Files[0]} holds no matrix {name} of floats, which the language model needs.");
        var tensor = Rows.Fit(known, rows) with { Name = $"lang_encoder.{name}" };
        if (before >= rows) return tensor;
        notes.Add($"{name} has new rows for the ids {before} to {rows - 1}, drawn with the mean and deviation of each column");
        return tensor with
        {
            Read = () =>
            {
                var bytes = WeightDtypes.Convert(known.Read(), known.Dtype, "F32");
                Array.Resize(ref bytes, checked((int)(rows * width * sizeof(float))));
                Draw(MemoryMarshal.Cast<byte, float>(bytes.AsSpan()), (int)before, (int)width, new SeededValues(Seed, tensor.Name));
                return WeightDtypes.Convert(bytes, "F32", known.Dtype);
            },
        };
    }

    private static void Draw(Span<float> values, int before, int width, SeededValues random)
    {
        var (sums, squares) = (new double[width], new double[width]);
        for (var at = 0; at < before * width; at++)
        {
            sums[at % width] += values[at];
            squares[at % width] += (double)values[at] * values[at];
        }

        for (var at = before * width; at < values.Length; at++)
        {
            var mean = sums[at % width] / before;
            var deviation = Math.Sqrt(Math.Max(0, (squares[at % width] / before) - (mean * mean)));
            values[at] = (float)(mean + (deviation * random.Normal(at)));
        }
    }

    private static SourceTensor[] Norm(string name, int width) => [Filled($"{name}.weight", 1, width), Filled($"{name}.bias", 0, width)];

    private static SourceTensor Filled(string name, float value, params long[] shape) => Computed(name, shape, _ => value);

    private SourceTensor Normal(string name, params long[] shape)
    {
        var random = new SeededValues(Seed, name);
        return Computed(name, shape, at => (float)random.Normal(at));
    }

    // What torch gives a new nn.Linear: uniform up to one over the root of the inputs (Kaiming with a = √5).
    private SourceTensor Linear(string name, long outputs, long inputs)
    {
        var (random, bound) = (new SeededValues(Seed, name), 1 / Math.Sqrt(inputs));
        return Computed(name, [outputs, inputs], at => (float)(((2 * random.Uniform(at)) - 1) * bound));
    }

    private static SourceTensor Computed(string name, long[] shape, Func<int, float> value) => new(name, "F32", shape, () =>
    {
        var bytes = new byte[checked((int)shape.Aggregate((long)sizeof(float), (product, length) => product * length))];
        var values = MemoryMarshal.Cast<byte, float>(bytes.AsSpan());
        for (var at = 0; at < values.Length; at++) values[at] = value(at);
        return bytes;
    });
}
