namespace Flamingo.Checkpoints;

/// <summary>Limits for the values of every flamingo.json. They prevent that a stage divides by zero or allocates a terabyte.</summary>
internal static class ModelConfigRules
{
    private const int MostLayers = 10_000;
    private const int MostWidth = 1 << 20;
    private const int MostTokens = 1 << 24; // The limit applies to a vocabulary and to a context.
    private const int MostPixels = 1 << 14; // The limit applies to one side.

    /// <returns>One message per fault; an empty list for a valid configuration.</returns>
    public static IReadOnlyList<string> Faults(ModelConfig config)
    {
        var faults = new List<string>();
        Vision(config.Vision, faults);
        if (config.Resampler.PassesOn) Range("resampler.width", config.Resampler.Width, 1, MostWidth, faults);
        else Resampler(config.Resampler, faults);
        Language(config.Language, faults);
        if (config.Language.CrossAttention.Layers.Count > 0) CrossAttention(config.Language, faults);
        foreach (var id in TokenIds(config.Tokens)) Range("a token's id", id, 0, config.Language.VocabularySize - 1, faults);
        // The JSON reader does not check the members of lists and dictionaries, and constructor parameters that the file omits, for null.
        faults.AddRange(config.Weights
            .Where(part => part.Value is null or { File: null } or { HeaderSha256: null } or { Digest: null } or { LatentDigest: null })
            .Select(part => $"weights.{part.Key} lacks its file or a digest"));
        if (config.Provenance.Sources.Any(source => source is null)) faults.Add("a source of provenance is null");
        return faults;
    }

    private static void Vision(VisionConfig vision, List<string> faults)
    {
        Range("vision.image_size", vision.ImageSize, 1, MostPixels, faults);
        Range("vision.patch_size", vision.PatchSize, 1, Math.Max(1, vision.ImageSize), faults);
        Range("vision.layers", vision.Layers, 1, MostLayers, faults);
        Range("vision.feed_forward_width", vision.FeedForwardWidth, 1, MostWidth, faults);
        Range("vision.pooled_width", vision.PooledWidth, 0, MostWidth, faults);
        Heads("vision", vision.Width, vision.Heads, faults);
        Positive("vision.layer_norm_epsilon", vision.LayerNormEpsilon, faults);
        OneOf("vision.activation", vision.Activation, ["quick_gelu", "gelu"], faults);
        OneOf("vision.preprocessing.resize", vision.Preprocessing.Resize, ["shortest_side_crop", "square"], faults);
        OneOf("vision.preprocessing.alpha", vision.Preprocessing.Alpha, ["drop", "white", "black"], faults);
        OneOf("vision.preprocessing.orientation", vision.Preprocessing.Orientation, ["exif", "ignore"], faults);
        if (vision.Preprocessing.Mean.Count != 3 || !vision.Preprocessing.Mean.All(float.IsFinite))
            faults.Add("vision.preprocessing.mean is not three numbers");
        if (vision.Preprocessing.Std.Count != 3 || !vision.Preprocessing.Std.All(value => float.IsFinite(value) && value > 0))
            faults.Add("vision.preprocessing.std is not three positive numbers");
    }

    private static void Resampler(ResamplerConfig resampler, List<string> faults)
    {
        Range("resampler.width", resampler.Width, 1, MostWidth, faults);
        Range("resampler.layers", resampler.Layers, 1, MostLayers, faults);
        Range("resampler.latents", resampler.Latents, 1, MostWidth, faults);
        Range("resampler.heads", resampler.Heads, 1, MostLayers, faults);
        Range("resampler.head_width", resampler.HeadWidth, 1, MostWidth, faults);
        Range("resampler.feed_forward_width", resampler.FeedForwardWidth, 1, MostWidth, faults);
        Range("resampler.frame_embeddings", resampler.FrameEmbeddings, 0, MostWidth, faults);
        Range("resampler.media_time_embeddings", resampler.MediaTimeEmbeddings, 0, MostWidth, faults);
        OneOf("resampler.query_key_norm", resampler.QueryKeyNorm, ["none", "per_head"], faults);
        OneOf("resampler.activation", resampler.Activation, ["gelu", "relu"], faults);
        OneOf("resampler.latent_dtype", resampler.LatentDtype, ["float32", "float16", "bfloat16"], faults);
        Positive("resampler.layer_norm_epsilon", resampler.LayerNormEpsilon, faults);
    }

    private static void Language(LanguageConfig language, List<string> faults)
    {
        Range("language.vocabulary_size", language.VocabularySize, 1, MostTokens, faults);
        Range("language.context_length", language.ContextLength, 1, MostTokens, faults);
        Range("language.layers", language.Layers, 1, MostLayers, faults);
        Range("language.feed_forward_width", language.FeedForwardWidth, 1, MostWidth, faults);
        Heads("language", language.Width, language.Heads, faults);
        if (language.KeyValueHeads is { } shared && (shared < 1 || language.Heads % shared != 0))
            faults.Add($"language.key_value_heads is {shared}, no divisor of {language.Heads} heads");
        Positive("language.norm_epsilon", language.NormEpsilon, faults);
        Positive("language.alibi_max_bias", language.AlibiMaxBias, faults);
        Positive("language.rotary_base", language.RotaryBase, faults);
        if (language.RotaryFraction is not (> 0 and <= 1)) faults.Add($"language.rotary_fraction is {language.RotaryFraction}");
    }

    private static void CrossAttention(LanguageConfig language, List<string> faults)
    {
        var cross = language.CrossAttention;
        if (cross.Layers.Any(layer => layer < 0 || layer >= language.Layers) || cross.Layers.Distinct().Count() != cross.Layers.Count)
            faults.Add("language.cross_attention.layers names layers that are not there, or one twice");
        Range("language.cross_attention.heads", cross.Heads, 1, MostLayers, faults);
        Range("language.cross_attention.head_width", cross.HeadWidth, 1, MostWidth, faults);
        Range("language.cross_attention.latent_width", cross.LatentWidth, 1, MostWidth, faults);
        Range("language.cross_attention.feed_forward_width", cross.FeedForwardWidth, 1, MostWidth, faults);
        Positive("language.cross_attention.layer_norm_epsilon", cross.LayerNormEpsilon, faults);
    }

    private static IEnumerable<int> TokenIds(TokensConfig tokens) =>
        new[] { tokens.Image, tokens.EndOfChunk, tokens.AroundImage, tokens.Padding, tokens.Beginning }.OfType<SpecialToken>()
            .Select(token => token.Id).Concat(tokens.Stop).Concat(tokens.Banned).Concat(tokens.HidesPictures ?? []);

    private static void Heads(string part, int width, int heads, List<string> faults)
    {
        Range($"{part}.width", width, 1, MostWidth, faults);
        if (heads < 1 || width % heads != 0) faults.Add($"{part}.heads is {heads}, no divisor of the width {width}");
    }

    private static void OneOf(string name, string value, string[] known, List<string> faults)
    {
        if (!known.Contains(value)) faults.Add($"{name} is '{value}', not {string.Join(" or ", known)}");
    }

    private static void Range(string name, int value, int least, int most, List<string> faults)
    {
        if (value < least || value > most) faults.Add($"{name} is {value}, not {least} to {most}");
    }

    private static void Positive(string name, double value, List<string> faults)
    {
        if (!double.IsFinite(value) || value <= 0) faults.Add($"{name} is {value}, not a positive number");
    }
}
