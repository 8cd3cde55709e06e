using Flamingo.Checkpoints;

namespace Flamingo.Bench.Machine;

/// <summary>The minimal work of a model, which is computed from its geometry and its files.</summary>
public static class ModelWork
{
    /// <summary>
    /// Floating-point operations for one picture: patch embedding, linear layers, attention. A multiply-add counts as two operations.
    /// </summary>
    public static double VisionOperations(VisionConfig vision)
    {
        double side = vision.ImageSize / vision.PatchSize, width = vision.Width;
        var (patches, tokens) = (side * side, (side * side) + 1);
        var embedding = 2 * patches * 3 * vision.PatchSize * vision.PatchSize * width;
        var linear = 2 * tokens * ((4 * width * width) + (2 * width * vision.FeedForwardWidth));
        var attention = 2 * 2 * tokens * tokens * width; // the scores, then the weighted sum of values
        return embedding + (vision.Layers * (linear + attention));
    }

    /// <summary>
    /// Bytes of weights in the file that decoding one token must read. Decoding does not read the key and value projections of
    /// cross-attention, which are computed once per picture, nor the token embedding unless it is also the output projection.
    /// </summary>
    public static long DecodedTokenBytes(ModelDirectory model)
    {
        using var file = model.OpenWeights("language");
        return file.Entries.Values.Where(entry => IsRead(entry.Name, model.Config.Language)).Sum(entry => entry.Length);
    }

    /// <summary>Patches of a picture whose features the resampler reads.</summary>
    public static long Patches(VisionConfig vision) => (long)(vision.ImageSize / vision.PatchSize) * (vision.ImageSize / vision.PatchSize);

    private static bool IsRead(string name, LanguageConfig language) =>
        !name.EndsWith(".gated_cross_attention.attention.key_value.weight", StringComparison.Ordinal)
            && (language.TiedEmbeddings || name != "token_embedding.weight");
}
