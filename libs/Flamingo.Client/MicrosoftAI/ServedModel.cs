using Flamingo.Abstractions;

namespace Flamingo.Client.MicrosoftAI;

/// <summary>
/// The description of the model that a service serves. It is kept for a minute, and forgotten earlier if an answer came from other weights
/// or a failure may be one of a changed model, so that such a model is seen and an ordinary call costs no second one.
/// </summary>
internal sealed class ServedModel(IFlamingo flamingo, TimeProvider time)
{
    private static readonly TimeSpan LongestKept = TimeSpan.FromMinutes(1);

    private volatile Kept? _kept;

    /// <summary>The model; null before it was asked for.</summary>
    public FlamingoModel? Known => _kept?.Model;

    public async Task<FlamingoModel> GetAsync(CancellationToken cancellation)
    {
        if (_kept is { } kept && time.GetElapsedTime(kept.At) < LongestKept) return kept.Model;
        var asked = new Kept(await flamingo.GetModelAsync(cancellation), time.GetTimestamp());
        _kept = asked;
        return asked.Model;
    }

    /// <summary>Returns the model, and refuses the name of another.</summary>
    /// <exception cref="FlamingoException">InvalidArgument: another model is asked for.</exception>
    public async Task<FlamingoModel> GetAsync(string? name, CancellationToken cancellation)
    {
        var model = await GetAsync(cancellation);
        return string.IsNullOrEmpty(name) || name == model.Language.ModelId
            ? model
            : throw FlamingoException.Invalid(
                "options.ModelId", $"The server serves no model '{name}'.", $"Leave it out, or give '{model.Language.ModelId}'.");
    }

    /// <summary>Forgets the model if a failure may have its cause in another one.</summary>
    public void Check(FlamingoException failure)
    {
        if (failure.Kind is FlamingoErrorKind.InvalidArgument or FlamingoErrorKind.Unavailable or FlamingoErrorKind.Mismatch) _kept = null;
    }

    /// <summary>Forgets the model if an answer came from other weights.</summary>
    public void Check(ModelDigests digests)
    {
        if (_kept?.Model is { } model
            && (model.Language.WeightsDigest != digests.Language || model.Vision.WeightsDigest != digests.Vision)) _kept = null;
    }

    private sealed record Kept(FlamingoModel Model, long At);
}
