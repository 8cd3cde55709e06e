using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Cli.Reporting;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using Flamingo.Resampler.Network;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Network;
using Flamingo.VisionEncoder.Preprocessing;
using static TorchSharp.torch;

namespace Flamingo.Cli.Verifying;

/// <summary>
/// Compares pixels, features and latents. The networks get the golden pixels, so that errors of decoding and of computing are separate.
/// </summary>
/// <param name="orientation">exif or ignore, which overrides the model's setting; null keeps it.</param>
public sealed class PictureVerification(ModelDirectory model, InferenceThread thread, string? orientation)
{
    private readonly PreprocessingConfig _preprocessing = model.Config.Vision.Preprocessing with
    {
        Orientation = orientation ?? model.Config.Vision.Preprocessing.Orientation,
    };

    /// <returns>The latents of every picture, f32 [latents, width], for the verification of prompts.</returns>
    public async Task<IReadOnlyList<TensorData>> RunAsync(
        Golden golden, GoldenTensors tensors, string pictures, Action<Comparison> report, CancellationToken cancellation)
    {
        if (golden.Pictures.Count == 0) return [];
        var files = golden.Pictures.Select(name => Path.Combine(pictures, name)).ToArray();
        var missing = files.Where(file => !File.Exists(file)).ToArray();
        if (missing.Length > 0)
            throw new UsageException(
                [.. missing.Select(file => $"{file} does not exist. --pictures names the folder with the files that golden.json lists.")]);

        var goldenPixels = tensors.Find("pixels");
        return await thread.RunAsync(() =>
        {
            var (own, turned) = Preprocess(files);
            var pixels = ComparePixels(goldenPixels, own);
            if (pixels.Outcome == Outcome.Broken && turned.Count > 0)
            {
                const string Remedy =
                    "was rotated by its EXIF orientation, which the original code ignores: compare with --orientation ignore";
                pixels = pixels with { Detail = $"{pixels.Detail}; {string.Join(", ", turned)} {Remedy}" };
            }

            report(pixels);
            if (goldenPixels is { } read && !read.Shape.SequenceEqual(own.Shape)) goldenPixels = null;
            var (features, latents) = Compute(goldenPixels ?? own);
            report(tensors.Compare("features", features.ToData(TensorDtype.Float32)));
            report(tensors.Compare("latents", latents.ToData(TensorDtype.Float32)));
            var places = Enumerable.Range(0, files.Length);
            return (IReadOnlyList<TensorData>)[.. places.Select(index => latents[index].ToData(TensorDtype.Float32))];
        }, cancellation);
    }

    private (TensorData Pixels, IReadOnlyList<string> Turned) Preprocess(string[] files)
    {
        var preprocessor = new PicturePreprocessor(model.Config.Vision.ImageSize, _preprocessing);
        var pictures = files.Select(file => IPictureDecoder.Compiled.Decode(File.ReadAllBytes(file))
            ?? throw new UsageException($"{file} cannot be decoded. Use the files that the golden was made from.")).ToArray();
        var turned = files.Where((_, index) => _preprocessing.Orientation != "ignore" && pictures[index].Orientation != 1);
        var pixels = preprocessor.Normalize(stack(pictures.Select(preprocessor.Resize)));      // [pictures, 3, size, size]
        return (pixels.ToData(TensorDtype.Float32), [.. turned.Select(file => Path.GetFileName(file))]);
    }

    // Compares in grey levels from 0 to 255, the unit before scaling and normalization.
    private Comparison ComparePixels(TensorData? golden, TensorData own)
    {
        if (golden is null) return new("pixels", Outcome.Skipped, "not in the golden tensors");
        if (!golden.Shape.SequenceEqual(own.Shape))
            return new(
                "pixels", Outcome.Broken,
                $"shape [{string.Join(", ", own.Shape)}] where the golden has [{string.Join(", ", golden.Shape)}]");
        var (expected, actual, plane, largest) = (golden.ToFloats(), own.ToFloats(), own.Shape[2] * own.Shape[3], 0.0);
        for (var index = 0; index < expected.Length; index++)
        {
            var levels = Math.Abs(expected[index] - actual[index]) * _preprocessing.Std[index / plane % 3] * 255;
            largest = Math.Max(largest, float.IsNaN(levels) ? double.PositiveInfinity : levels);
        }

        // The difference of 1e-3 allows for f32 rounding of normalized values and of their conversion back to grey levels.
        return Comparison.Within("pixels", Math.Max(0, largest - 1e-3), Comparison.GreyLevels, "largest difference in grey levels");
    }

    private (Tensor Features, Tensor Latents) Compute(TensorData pixels)
    {
        var device = CPU;
        using var visionFile = model.OpenWeights("vision");
        using var resamplerFile = model.OpenWeights("resampler");
        var (visionWeights, resamplerWeights) = (
            new WeightsReader(visionFile, device, ScalarType.Float32), new WeightsReader(resamplerFile, device, ScalarType.Float32));
        using var vision = new VisionTransformer(model.Config.Vision, visionWeights);
        using var resampler = new PerceiverResampler(model.Config.Resampler, resamplerWeights);
        visionWeights.Finish();
        resamplerWeights.Finish();
        var (features, _) = vision.Forward(pixels.ToTensor().to(device));                    // [pictures, patches, width]
        return (features, resampler.Forward(features.unsqueeze(1).unsqueeze(1)).squeeze(1)); // [pictures, latents, width]
    }
}
