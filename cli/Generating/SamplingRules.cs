using Flamingo.Abstractions;

namespace Flamingo.Cli.Generating;

/// <summary>
/// Ranges that hold for every model, checked before one is loaded; the service checks the rest (context length, vocabulary, most
/// samples).
/// </summary>
public static class SamplingRules
{
    private static readonly LanguageModelDescription Any =
        new(
            "any", "", VocabularySize: int.MaxValue, ContextLength: int.MaxValue, Latents: 0, LatentWidth: 0, "", [], "",
            MaxCandidates: int.MaxValue) { MaxSamples = int.MaxValue };

    public static IReadOnlyList<FieldFault> Faults(SamplingParameters sampling)
    {
        var faults = new List<FieldFault>();
        PromptRules.CheckSampling(sampling, Any, faults);
        return faults;
    }
}
