using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>How the next token is chosen, as options; what is given here wins over the prompt file.</summary>
/// <param name="maxTokens">What the command takes where nothing is given.</param>
/// <param name="oneAnswer">Whether the command prints the text of one answer and nothing about its tokens.</param>
public sealed class SamplingOptions(int maxTokens = 32, bool oneAnswer = false)
{
    private readonly Option<int?> _maxTokens = NumberOption.Create<int>(
        "--max-tokens", "N", $"Most tokens to generate. Default: {maxTokens}.");

    private readonly Option<float?> _temperature = NumberOption.Create<float>("--temperature", "T", "0 is greedy, up to 2. Default: 0.");
    private readonly Option<int?> _topK = NumberOption.Create<int>(
        "--top-k", "K", "Sample among the K most likely tokens; 0 is all. Default: 0.");

    private readonly Option<float?> _topP = NumberOption.Create<float>(
        "--top-p", "P", "Sample among the fewest tokens whose probability reaches P, above 0 to 1. Default: 1.");

    private readonly Option<ulong?> _seed = NumberOption.Create<ulong>(
        "--seed", "SEED",
        "Seed of the sampling; the same seed gives the same answer. "
            + "Default: drawn, and told on standard error or in the object of --json.");

    private readonly Option<float?> _repetitionPenalty = NumberOption.Create<float>(
        "--repetition-penalty", "R", "Makes tokens seen before less likely, 0.1 to 10; 1 is off. Default: 1.");

    private readonly Option<string[]> _stop = new("--stop") { HelpName = "STRING", Description = "End the answer before STRING would appear; repeatable, at most 16." };
    private readonly Option<int?> _samples = NumberOption.Create<int>(
        "--samples", "N", "Answers of the prompt, one per line; with --beams the N best. Default: 1.");

    private readonly Option<int?> _beams = NumberOption.Create<int>(
        "--beams", "N", "Beam search with N beams, greedy; 1 is off. Default: 1.");

    private readonly Option<float?> _lengthPenalty = NumberOption.Create<float>(
        "--length-penalty", "X", "A beam's score is its log-likelihood / length ^ X, -5 to 5. Default: 1.");

    private readonly Option<IReadOnlyDictionary<int, float>> _logitBias = new("--logit-bias")
    {
        HelpName = "ID=VALUE", Arity = ArgumentArity.OneOrMore, CustomParser = Bias,
        Description = "Add VALUE, -100 to 100, to the logit of token ID; repeatable.",
    };

    private readonly Option<int[]> _allowedTokens = NumberOption.CreateMany<int>(
        "--allow-token", "ID", "Generate only the tokens named so, the stop token included where wanted; repeatable.");

    private readonly Option<int?> _logProbabilities = NumberOption.Create<int>(
        "--log-probabilities", "N", "Tell each token's log-probability and the N most likely ones, 0 to 20. Default: off.");

    // the service's field of each option
    private IReadOnlyList<(Option Option, string Field)> Fields =>
    [
        (_maxTokens, "max_tokens"), (_temperature, "temperature"), (_topK, "top_k"), (_topP, "top_p"), (_seed, "seed"),
        (_repetitionPenalty, "repetition_penalty"), (_stop, "stop_strings"), (_samples, "samples"), (_beams, "beams"),
        (_lengthPenalty, "length_penalty"), (_logitBias, "logit_bias"), (_allowedTokens, "allowed_tokens"),
        (_logProbabilities, "log_probabilities"),
    ];

    public void AddTo(Command command)
    {
        foreach (var (option, _) in Fields) command.Add(option);
    }

    /// <summary>The options over what a prompt file says. What has no effect beside the rest is told on <paramref name="error"/>.</summary>
    /// <param name="names">Learns what the user calls the fields.</param>
    /// <exception cref="UsageException">Out of range.</exception>
    public SamplingParameters Apply(ParseResult parsed, SamplingParameters sampling, FieldNames names, TextWriter error)
    {
        foreach (var (option, name) in Fields)
        {
            var field = $"sampling.{name}";
            if (parsed.GetResult(option) is not null || names.Of(field) == field) names.Add(field, option.Name);
        }

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
            LogitBias = parsed.GetValue(_logitBias) ?? sampling.LogitBias,
            AllowedTokens = parsed.GetValue(_allowedTokens) is { Length: > 0 } allowed ? allowed : sampling.AllowedTokens,
            LogProbabilities = parsed.GetValue(_logProbabilities) ?? sampling.LogProbabilities,
        };
        var faults = SamplingRules.Faults(applied).Select(fault => fault with { Field = names.Of(fault.Field) }).ToList();
        if (oneAnswer && applied.Samples > 1)
            faults.Add(new(_samples.Name, "A task has one answer.", "Leave it out, or ask with 'flamingo generate'."));
        if (faults.Count > 0) throw new UsageException([.. faults.Select(fault => fault.ToString())]);
        foreach (var note in WithoutEffect(applied, names)) error.WriteLine($"flamingo: {note}");
        return applied;
    }

    private IEnumerable<string> WithoutEffect(SamplingParameters sampling, FieldNames names)
    {
        string Name(string field) => names.Of($"sampling.{field}");
        (string Field, bool Given)[] ofSampling =
            [("top_k", sampling.TopK > 0), ("top_p", sampling.TopP < 1), ("seed", sampling.Seed is not null)];
        foreach (var (field, _) in ofSampling.Where(option => option.Given && sampling.Temperature == 0))
            yield return $"{Name(field)} has no effect at temperature 0: the likeliest token is taken. Set {_temperature.Name} above 0.";
        if (sampling is { Temperature: 0, Beams: 1, Samples: > 1 })
            yield return $"{Name("samples")}: at temperature 0 all answers are the same. "
                + $"Set {_temperature.Name} above 0, or {_beams.Name}.";
        if (sampling is { Beams: 1, LengthPenalty: not 1 }) yield return $"{Name("length_penalty")} has no effect without {_beams.Name}.";
        if (oneAnswer && sampling.LogProbabilities is not null)
            yield return $"{Name("log_probabilities")} has no effect here: 'flamingo generate' tells them.";
    }

    private static IReadOnlyDictionary<int, float> Bias(ArgumentResult given)
    {
        var bias = new Dictionary<int, float>();
        foreach (var text in given.Tokens.Select(token => token.Value))
        {
            var parts = text.Split('=');
            var (id, value) = (0, 0f);
            if (parts.Length != 2 || !NumberOption.TryRead(parts[0], out id) || !NumberOption.TryRead(parts[1], out value))
                given.AddError($"--logit-bias: '{text}' is not ID=VALUE. Use a token id and a number with a point, for example 509=-0.5.");
            else if (!bias.TryAdd(id, value))
                given.AddError($"--logit-bias: token {id} is named twice. Name it once.");
        }

        return bias;
    }
}
