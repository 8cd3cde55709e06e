using Flamingo.Abstractions;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Stages;

/// <summary>
/// The descriptions of the three stages. The first request reads them and checks that the stages fit together. They are read
/// again after a stage has answered with other weights than described.
/// </summary>
public sealed class StageDescriptions(
    IVisionEncoder vision, IResampler resampler, ILanguageModel language, ILogger<StageDescriptions> logger)
{
    private volatile FlamingoModel? _known;
    private FlamingoModel? _logged;

    /// <exception cref="FlamingoException">Mismatch, which names both stages; Unavailable: a stage cannot be reached.</exception>
    public async ValueTask<FlamingoModel> GetAsync(CancellationToken cancellation)
    {
        if (_known is { } known) return known;
        var model = await ReadAsync(cancellation);
        if (Misfit(model) is { } misfit)
        {
            GatewayLog.StagesDoNotFit(logger, misfit.Message);
            throw misfit;
        }

        Log(model, Interlocked.Exchange(ref _logged, model));
        return _known = model;
    }

    /// <summary>
    /// Reads the descriptions anew and checks that the stages fit together. It does not change the descriptions that requests use.
    /// </summary>
    /// <exception cref="FlamingoException">As from <see cref="GetAsync"/>.</exception>
    public async Task ProbeAsync(CancellationToken cancellation)
    {
        if (Misfit(await ReadAsync(cancellation)) is { } misfit) throw misfit;
    }

    /// <summary>
    /// Discards the descriptions, so that the next request reads them again. Called when a stage has answered with other weights
    /// than described.
    /// </summary>
    public void Forget() => _known = null;

    /// <summary>
    /// Returns the exception to throw when a stage refuses the output of another stage. The caller is not at fault in this case,
    /// because a stage was replaced by one that does not fit.
    /// </summary>
    /// <returns>Mismatch, which names both stages, or Unavailable if a stage cannot be reached any more.</returns>
    public async Task<FlamingoException> MisfitAsync(FlamingoException refusal)
    {
        Forget();
        try
        {
            await GetAsync(CancellationToken.None);
        }
        catch (FlamingoException exception)
        {
            return exception; // Mismatch, or Unavailable if the stage has stopped since
        }

        return new FlamingoException(
            FlamingoErrorKind.Mismatch, $"A stage was replaced while this request was running: {refusal.Message} Retry the request.",
            refusal);
    }

    private async Task<FlamingoModel> ReadAsync(CancellationToken cancellation)
    {
        var (visionTask, resamplerTask, languageTask) =
            (vision.DescribeAsync(cancellation), resampler.DescribeAsync(cancellation), language.DescribeAsync(cancellation));
        await Task.WhenAll(visionTask, resamplerTask, languageTask);
        return new FlamingoModel(await visionTask, await resamplerTask, await languageTask);
    }

    // Logs each stage when it is described for the first time, and again when its weights have changed.
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

    private static FlamingoException? Misfit(FlamingoModel model)
    {
        var (vision, resampler, language) = (model.Vision, model.Resampler, model.Language);
        if (vision.Width != resampler.FeatureWidth)
            return Mismatch(
                $"VisionEncoder '{vision.ModelId}' computes features of width {vision.Width}, "
                + $"and Resampler '{resampler.ModelId}' reads width {resampler.FeatureWidth}");
        if (resampler.Latents != language.Latents || resampler.Width != language.LatentWidth)
            return Mismatch(
                $"Resampler '{resampler.ModelId}' computes latents [{resampler.Latents}, {resampler.Width}], "
                + $"and LanguageModel '{language.ModelId}' reads [{language.Latents}, {language.LatentWidth}]");
        return null;
    }

    private static FlamingoException Mismatch(string sides) => new(
        FlamingoErrorKind.Mismatch, $"The stages do not fit together: {sides}. Start all stages with the same model directory.");
}
