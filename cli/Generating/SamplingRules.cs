using Flamingo.Abstractions;

namespace Flamingo.Cli.Generating;

/// <summary>
/// Checks the ranges of sampling parameters that are the same for every model, before a model is loaded. The service checks the limits
/// that depend on the model (context length, vocabulary, maximum number of samples).
/// </summary>
public static class SamplingRules
{
    private static readonly LanguageModelDescription Any =
        new(
            "any", "", VocabularySize: int.MaxValue, ContextLength: int.MaxValue, Latents: 0, LatentWidth: 0, "", [], "",
            MaxCandidates: int.MaxValue) { MaxSamples = int.MaxValue };

    public static IReadOnlyList<FieldFault> Faults(SamplingParameters sampling)
    {
        var faults = new FaultList();
        PromptRules.CheckSampling(sampling, Any, faults);
        return faults;
    }
}
