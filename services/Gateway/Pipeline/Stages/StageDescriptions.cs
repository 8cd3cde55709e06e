using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Stages;

/// <summary>What the three stages say of themselves, asked at first use, checked to fit, and asked again when an answer shows other weights.</summary>
public sealed class StageDescriptions(IVisionEncoder vision, IResampler resampler, ILanguageModel language)
{
    private volatile FlamingoModel? _known;

    /// <exception cref="FlamingoException">Mismatch, naming both sides; Unavailable.</exception>
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

    /// <summary>What to answer when a stage refuses what another one made: that is no fault of the caller, a stage was replaced by one that does not fit.</summary>
    /// <returns>Mismatch, naming both sides.</returns>
    public async Task<FlamingoException> MisfitAsync(FlamingoException refusal)
    {
        Forget();
        try
        {
            await GetAsync(CancellationToken.None);
        }
        catch (FlamingoException exception)
        {
            return exception; // Mismatch, or Unavailable where the stage has gone since
        }

        return new FlamingoException(FlamingoErrorKind.Mismatch, $"A stage was replaced while this request was under way: {refusal.Message} Ask again.", refusal);
    }

    private static void Check(FlamingoModel model)
    {
        var (vision, resampler, language) = (model.Vision, model.Resampler, model.Language);
        if (vision.Width != resampler.FeatureWidth)
            throw Mismatch($"VisionEncoder '{vision.ModelId}' makes features {vision.Width} wide, Resampler '{resampler.ModelId}' reads {resampler.FeatureWidth}");
        if (resampler.Latents != language.Latents || resampler.Width != language.LatentWidth)
            throw Mismatch($"Resampler '{resampler.ModelId}' makes latents [{resampler.Latents}, {resampler.Width}], LanguageModel '{language.ModelId}' reads [{language.Latents}, {language.LatentWidth}]");
    }

    private static FlamingoException Mismatch(string sides) => new(FlamingoErrorKind.Mismatch, $"The stages do not fit together: {sides}. Start all stages on one model directory.");
}
