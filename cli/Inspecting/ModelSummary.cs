using Flamingo.Checkpoints;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Inspecting;

/// <summary>Writes a description of a model directory as text.</summary>
public static class ModelSummary
{
    public static void Write(ModelDirectory model, TextWriter output)
    {
        var config = model.Config;
        var (vision, resampler, language, cross) = (config.Vision, config.Resampler, config.Language, config.Language.CrossAttention);
        output.WriteLine($"{config.ModelId} (format {config.FormatVersion}) in {model.Path}");
        output.WriteLine();
        output.WriteLine(
            $"vision     ViT {vision.ImageSize} × {vision.ImageSize}, patch {vision.PatchSize}, width {vision.Width}, {vision.Layers} "
                + $"layers, {vision.Heads} heads, {vision.Activation}, pooled width {vision.PooledWidth}");
        output.WriteLine($"pictures   {vision.Preprocessing.Resize}, alpha {vision.Preprocessing.Alpha}, "
            + $"orientation {vision.Preprocessing.Orientation}, "
            + $"mean [{string.Join(", ", vision.Preprocessing.Mean)}], std [{string.Join(", ", vision.Preprocessing.Std)}]");
        output.WriteLine(
            $"resampler  {(resampler.PassesOn ? "none; features pass as " : "")}{resampler.Latents} latents of width {resampler.Width} "
                + $"({resampler.LatentDtype}), {resampler.Layers} layers, {resampler.Heads} heads of {resampler.HeadWidth}, "
                + $"{resampler.FrameEmbeddings} frame and {resampler.MediaTimeEmbeddings} media-time embeddings");
        var sharing = language.KeyValueHeads is { } shared ? $" sharing {shared} of keys and values" : "";
        var fraction = language.Positions == "rotary" && language.RotaryFraction < 1 ? $" over {language.RotaryFraction:0.##}" : "";
        output.WriteLine($"language   vocabulary {language.VocabularySize}, width {language.Width}, {language.Layers} layers, "
            + $"{language.Heads} heads{sharing}, context {language.ContextLength}, {language.Norm}, {language.Positions}{fraction}"
            + $"{(language.ParallelResidual ? ", parallel residual" : "")}, {language.FeedForward}, QK-norm {language.QueryKeyNorm}"
            + $"{(language.TiedEmbeddings ? ", tied" : "")}");
        output.WriteLine(
            $"gated      before layers {string.Join(", ", cross.Layers)}; {cross.Heads} heads of {cross.HeadWidth}, latents of "
                + $"{cross.LatentWidth}");
        var tokens = Tokens(config.Tokens).Select(token => $"{token.Role} {token.Token.Text} = {token.Token.Id}");
        output.WriteLine($"tokens     {string.Join(", ", tokens)}, stop {string.Join(", ", config.Tokens.Stop)}");
        output.WriteLine();
        foreach (var (part, weights) in config.Weights) WriteWeights(model, part, weights, output);
        output.WriteLine();
        output.WriteLine(
            $"made from  {config.Provenance.Layout} by {config.Provenance.Tool}{(config.Provenance.Note is { } note ? $": {note}" : "")}");
        foreach (var source in config.Provenance.Sources)
            output.WriteLine($"           {source.File}  {Page.Size(source.Bytes)}  sha256 {source.Sha256}");
    }

    private static void WriteWeights(ModelDirectory model, string part, WeightsFile weights, TextWriter output)
    {
        using var file = model.OpenWeights(part);
        var parameters = file.Entries.Values.Sum(entry => entry.Shape.Aggregate(1L, (product, length) => product * length));
        var dtypes = file.Entries.Values.CountBy(entry => entry.Dtype).OrderByDescending(count => count.Value).Select(
            count => $"{count.Value} {count.Key}");
        output.WriteLine(
            $"{part,-10} {weights.File}  {Page.Size(weights.Bytes)}  {parameters:N0} parameters in {file.Entries.Count} tensors "
                + $"({string.Join(", ", dtypes)})");
        output.WriteLine($"           digest {weights.Digest}");
        if (weights.LatentDigest != weights.Digest) output.WriteLine($"           latent {weights.LatentDigest}");
    }

    private static IEnumerable<(string Role, SpecialToken Token)> Tokens(TokensConfig tokens)
    {
        yield return ("image", tokens.Image);
        yield return ("end of chunk", tokens.EndOfChunk);
        if (tokens.AroundImage is { } around) yield return ("around image", around);
        if (tokens.Padding is { } padding) yield return ("padding", padding);
        if (tokens.Beginning is { } beginning) yield return ("beginning", beginning);
    }
}
