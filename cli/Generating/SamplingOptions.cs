using System.CommandLine;
using Flamingo.Cli.Reporting;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>How the next token is chosen, as options; what is given here wins over the prompt file.</summary>
public sealed class SamplingOptions
{
    private readonly Option<int?> _maxTokens = new("--max-tokens") { HelpName = "N", Description = "Most tokens to generate. Default: 32." };
    private readonly Option<float?> _temperature = new("--temperature") { HelpName = "T", Description = "0 is greedy, up to 2. Default: 0." };
    private readonly Option<int?> _topK = new("--top-k") { HelpName = "K", Description = "Sample among the K most likely tokens; 0 is all. Default: 0." };
    private readonly Option<float?> _topP = new("--top-p") { HelpName = "P", Description = "Sample among the fewest tokens whose probability reaches P, above 0 to 1. Default: 1." };
    private readonly Option<ulong?> _seed = new("--seed") { HelpName = "SEED", Description = "Seed of the sampling; the same seed gives the same answer. Default: drawn, and printed on standard error." };
    private readonly Option<float?> _repetitionPenalty = new("--repetition-penalty") { HelpName = "R", Description = "Makes tokens seen before less likely, 0.1 to 10; 1 is off. Default: 1." };
    private readonly Option<string[]> _stop = new("--stop") { HelpName = "STRING", Description = "End the answer before STRING would appear; repeatable, at most 16." };

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _maxTokens, _temperature, _topK, _topP, _seed, _repetitionPenalty, _stop }) command.Add(option);
    }

    /// <exception cref="UsageException">Out of range.</exception>
    public SamplingParameters Apply(ParseResult parsed, SamplingParameters sampling)
    {
        var applied = sampling with
        {
            MaxTokens = parsed.GetValue(_maxTokens) ?? sampling.MaxTokens,
            Temperature = parsed.GetValue(_temperature) ?? sampling.Temperature,
            TopK = parsed.GetValue(_topK) ?? sampling.TopK,
            TopP = parsed.GetValue(_topP) ?? sampling.TopP,
            Seed = parsed.GetValue(_seed) ?? sampling.Seed,
            RepetitionPenalty = parsed.GetValue(_repetitionPenalty) ?? sampling.RepetitionPenalty,
            StopStrings = parsed.GetValue(_stop) is { Length: > 0 } stop ? stop : sampling.StopStrings,
        };
        var faults = SamplingRules.Faults(applied).ToArray();
        return faults.Length == 0 ? applied : throw new UsageException(faults);
    }
}
