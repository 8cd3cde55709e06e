using Flamingo.Abstractions;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Stages;

/// <summary>
/// What the three stages say of themselves. They are asked by the first request, checked to fit together, and asked again after an answer
/// came from other weights.
/// </summary>
public sealed class StageDescriptions(
    IVisionEncoder vision, IResampler resampler, ILanguageModel language, ILogger<StageDescriptions> logger)
{
    private volatile FlamingoModel? _known;
    private FlamingoModel? _logged;

    /// <exception cref="FlamingoException">Mismatch, naming both sides; Unavailable.</exception>
    public async ValueTask<FlamingoModel> GetAsync(CancellationToken cancellation)
    {
        if (_known is { } known) return known;
        var (visionTask, resamplerTask, languageTask) =
            (vision.DescribeAsync(cancellation), resampler.DescribeAsync(cancellation), language.DescribeAsync(cancellation));
        await Task.WhenAll(visionTask, resamplerTask, languageTask);
        var model = new FlamingoModel(await visionTask, await resamplerTask, await languageTask);
        Check(model);
        Log(model, Interlocked.Exchange(ref _logged, model));
        return _known = model;
    }

    /// <summary>The next request asks again, because an answer came from other weights than described.</summary>
    public void Forget() => _known = null;

    /// <summary>
    /// What to answer when a stage refuses what another one made. That is no fault of the caller: a stage was replaced by one that does
    /// not fit.
    /// </summary>
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

        return new FlamingoException(
            FlamingoErrorKind.Mismatch, $"A stage was replaced while this request was under way: {refusal.Message} Ask again.", refusal);
    }

    // Each stage when it is seen first, and again when other weights have taken its place.
    private void Log(FlamingoModel model, FlamingoModel? before)
    {
        if (model.Vision.WeightsDigest != before?.Vision.WeightsDigest)
            GatewayLog.VisionEncoder(logger, model.Vision.ModelId, model.Vision.WeightsDigest, model.Vision.PreprocessingVersion);
        if (model.Resampler.WeightsDigest != before?.Resampler.WeightsDigest)
            GatewayLog.Resampler(
                logger, model.Resampler.ModelId, model.Resampler.WeightsDigest, model.Resampler.Latents, model.Resampler.Width,
                model.Resampler.LatentDtype.ToString());
        if (model.Language.WeightsDigest != before?.Language.WeightsDigest)
            GatewayLog.LanguageModel(logger, model.Language.ModelId, model.Language.WeightsDigest);
    }

    private void Check(FlamingoModel model)
    {
        var (vision, resampler, language) = (model.Vision, model.Resampler, model.Language);
        if (vision.Width != resampler.FeatureWidth)
            throw Mismatch(
                $"VisionEncoder '{vision.ModelId}' makes features {vision.Width} wide, "
                + $"Resampler '{resampler.ModelId}' reads {resampler.FeatureWidth}");
        if (resampler.Latents != language.Latents || resampler.Width != language.LatentWidth)
            throw Mismatch(
                $"Resampler '{resampler.ModelId}' makes latents [{resampler.Latents}, {resampler.Width}], "
                + $"LanguageModel '{language.ModelId}' reads [{language.Latents}, {language.LatentWidth}]");
    }

    private FlamingoException Mismatch(string sides)
    {
        var problem = $"The stages do not fit together: {sides}. Start all stages on one model directory.";
        GatewayLog.StagesDoNotFit(logger, problem);
        return new FlamingoException(FlamingoErrorKind.Mismatch, problem);
    }
}
