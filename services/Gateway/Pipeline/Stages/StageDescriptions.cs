using Flamingo.Stages;

namespace Flamingo.Gateway.Stages;

/// <summary>What the three stages say of themselves, asked at first use, checked to fit, and asked again when an answer shows other weights.</summary>
public sealed class StageDescriptions(IVisionEncoder vision, IResampler resampler, ILanguageModel language)
{
    private volatile FlamingoModel? _known;

    /// <exception cref="StageException">Mismatch, naming both sides; Unavailable.</exception>
    public async ValueTask<FlamingoModel> GetAsync(CancellationToken cancellation)
    {
        if (_known is { } known) return known;
        var (visionTask, resamplerTask, languageTask) = (vision.DescribeAsync(cancellation), resampler.DescribeAsync(cancellation), language.DescribeAsync(cancellation));
        await Task.WhenAll(visionTask, resamplerTask, languageTask);
        var model = new FlamingoModel(await visionTask, await resamplerTask, await languageTask);
        Check(model);
        return _known = model;
    }

    /// <summary>The next request asks again: an answer came from other weights than described.</summary>
    public void Forget() => _known = null;

    private static void Check(FlamingoModel model)
    {
        var (vision, resampler, language) = (model.Vision, model.Resampler, model.Language);
        if (vision.Width != resampler.FeatureWidth)
            throw Mismatch($"VisionEncoder '{vision.ModelId}' makes features {vision.Width} wide, Resampler '{resampler.ModelId}' reads {resampler.FeatureWidth}");
        if (resampler.Latents != language.Latents || resampler.Width != language.LatentWidth)
            throw Mismatch($"Resampler '{resampler.ModelId}' makes latents [{resampler.Latents}, {resampler.Width}], LanguageModel '{language.ModelId}' reads [{language.Latents}, {language.LatentWidth}]");
    }

    private static StageException Mismatch(string sides) => new(StageErrorKind.Mismatch, $"The stages do not fit together: {sides}. Start all stages on one model directory.");
}
