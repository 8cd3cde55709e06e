using Flamingo.Checkpoints;

namespace Flamingo.Bench.Machine;

/// <summary>What a model must at least do, counted from its geometry and its files.</summary>
public static class ModelWork
{
    /// <summary>Floating-point operations of encoding one picture: patch embedding, linear layers, attention; a multiply-add counts two.</summary>
    public static double VisionOperations(VisionConfig vision)
    {
        double side = vision.ImageSize / vision.PatchSize, width = vision.Width;
        var (patches, tokens) = (side * side, (side * side) + 1);
        var embedding = 2 * patches * 3 * vision.PatchSize * vision.PatchSize * width;
        var linear = 2 * tokens * ((4 * width * width) + (2 * width * vision.FeedForwardWidth));
        var attention = 2 * 2 * tokens * tokens * width; // scores, then the mixture of values
        return embedding + (vision.Layers * (linear + attention));
    }

    /// <summary>
    /// Bytes of weights that decoding one token must read, as they lie in the file. Not read: a picture's key and value
    /// projections, which are made once per picture, and the token embedding where it is not the output projection too.
    /// </summary>
    public static long DecodedTokenBytes(ModelDirectory model)
    {
        using var file = model.OpenWeights("language");
        return file.Entries.Values.Where(entry => IsRead(entry.Name, model.Config.Language)).Sum(entry => entry.Length);
    }

    private static bool IsRead(string name, LanguageConfig language) =>
        !name.EndsWith(".gated_cross_attention.attention.key_value.weight", StringComparison.Ordinal) && (language.TiedEmbeddings || name != "token_embedding.weight");
}
