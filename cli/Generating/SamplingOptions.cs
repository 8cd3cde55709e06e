using System.CommandLine;
using System.Globalization;
using Flamingo.Cli.Reporting;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>How the next token is chosen, as options; what is given here wins over the prompt file.</summary>
/// <param name="maxTokens">What the command takes where nothing is given.</param>
public sealed class SamplingOptions(int maxTokens = 32)
{
    private readonly Option<int?> _maxTokens = new("--max-tokens") { HelpName = "N", Description = $"Most tokens to generate. Default: {maxTokens}." };
    private readonly Option<float?> _temperature = new("--temperature") { HelpName = "T", Description = "0 is greedy, up to 2. Default: 0." };
    private readonly Option<int?> _topK = new("--top-k") { HelpName = "K", Description = "Sample among the K most likely tokens; 0 is all. Default: 0." };
    private readonly Option<float?> _topP = new("--top-p") { HelpName = "P", Description = "Sample among the fewest tokens whose probability reaches P, above 0 to 1. Default: 1." };
    private readonly Option<ulong?> _seed = new("--seed") { HelpName = "SEED", Description = "Seed of the sampling; the same seed gives the same answer. Default: drawn, and told on standard error or in the object of --json." };
    private readonly Option<float?> _repetitionPenalty = new("--repetition-penalty") { HelpName = "R", Description = "Makes tokens seen before less likely, 0.1 to 10; 1 is off. Default: 1." };
    private readonly Option<string[]> _stop = new("--stop") { HelpName = "STRING", Description = "End the answer before STRING would appear; repeatable, at most 16." };
    private readonly Option<int?> _samples = new("--samples") { HelpName = "N", Description = "Answers of the prompt, one per line; with --beams the N best. Default: 1." };
    private readonly Option<int?> _beams = new("--beams") { HelpName = "N", Description = "Beam search with N beams, greedy; 1 is off. Default: 1." };
    private readonly Option<float?> _lengthPenalty = new("--length-penalty") { HelpName = "X", Description = "A beam's score is its log-likelihood / length ^ X, -5 to 5. Default: 1." };
    private readonly Option<string[]> _logitBias = new("--logit-bias") { HelpName = "ID=VALUE", Description = "Add VALUE, -100 to 100, to the logit of token ID; repeatable." };
    private readonly Option<int[]> _allowedTokens = new("--allow-token") { HelpName = "ID", Description = "Generate only the tokens named so, the stop token included where wanted; repeatable." };
    private readonly Option<int?> _logProbabilities = new("--log-probabilities") { HelpName = "N", Description = "Tell each token's log-probability and the N most likely ones, 0 to 20. Default: off." };

    public void AddTo(Command command)
    {
        Option[] options =
            [_maxTokens, _temperature, _topK, _topP, _seed, _repetitionPenalty, _stop, _samples, _beams, _lengthPenalty, _logitBias, _allowedTokens, _logProbabilities];
        foreach (var option in options) command.Add(option);
    }

    /// <exception cref="UsageException">Out of range, or no ID=VALUE.</exception>
    public SamplingParameters Apply(ParseResult parsed, SamplingParameters sampling)
    {
        var faults = new List<string>();
        var bias = Bias(parsed.GetValue(_logitBias) ?? [], faults);
        var applied = sampling with
        {
            MaxTokens = parsed.GetValue(_maxTokens) ?? sampling.MaxTokens,
            Temperature = parsed.GetValue(_temperature) ?? sampling.Temperature,
            TopK = parsed.GetValue(_topK) ?? sampling.TopK,
            TopP = parsed.GetValue(_topP) ?? sampling.TopP,
            Seed = parsed.GetValue(_seed) ?? sampling.Seed,
            RepetitionPenalty = parsed.GetValue(_repetitionPenalty) ?? sampling.RepetitionPenalty,
            StopStrings = parsed.GetValue(_stop) is { Length: > 0 } stop ? stop : sampling.StopStrings,
            Samples = parsed.GetValue(_samples) ?? sampling.Samples,
            Beams = parsed.GetValue(_beams) ?? sampling.Beams,
            LengthPenalty = parsed.GetValue(_lengthPenalty) ?? sampling.LengthPenalty,
            LogitBias = bias.Count > 0 ? bias : sampling.LogitBias,
            AllowedTokens = parsed.GetValue(_allowedTokens) is { Length: > 0 } allowed ? allowed : sampling.AllowedTokens,
            LogProbabilities = parsed.GetValue(_logProbabilities) ?? sampling.LogProbabilities,
        };
        faults.AddRange(SamplingRules.Faults(applied));
        return faults.Count == 0 ? applied : throw new UsageException(faults);
    }

    private static Dictionary<int, float> Bias(IEnumerable<string> given, List<string> faults)
    {
        var bias = new Dictionary<int, float>();
        foreach (var text in given)
        {
            var (id, value) = (0, 0f);
            var parts = text.Split('=');
            if (parts.Length != 2 || !int.TryParse(parts[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out id) || !float.TryParse(parts[1], NumberStyles.Float, CultureInfo.InvariantCulture, out value))
                faults.Add($"--logit-bias: '{text}' is not ID=VALUE. Use a token id and a number, for example 509=-5.");
            else if (!bias.TryAdd(id, value))
                faults.Add($"--logit-bias: token {id} is named twice. Name it once.");
        }

        return bias;
    }
}
