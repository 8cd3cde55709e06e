using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Generating;

/// <summary>The sampling parameters as options. A value on the command line overrides the value in the prompt file.</summary>
public sealed class SamplingOptions
{
    private const string Temperature = "--temperature", Samples = "--samples", Beams = "--beams";

    private readonly List<(Option Option, string Field, Func<ParseResult, SamplingParameters, SamplingParameters> Apply)> _options = [];
    private readonly bool _oneAnswer;

    /// <param name="maxTokens">The command's default for the maximum number of tokens.</param>
    /// <param name="oneAnswer">Whether the command prints the text of one answer and nothing about its tokens.</param>
    public SamplingOptions(int maxTokens = 32, bool oneAnswer = false)
    {
        _oneAnswer = oneAnswer;
        Add("max_tokens", NumberOption.Create<int>("--max-tokens", "N", $"Maximum number of tokens to generate. Default: {maxTokens}."),
            (sampling, value) => sampling with { MaxTokens = value });
        Add("temperature", NumberOption.Create<float>(Temperature, "T", "Sampling temperature, 0 to 2; 0 is greedy. Default: 0."),
            (sampling, value) => sampling with { Temperature = value });
        Add("top_k", NumberOption.Create<int>("--top-k", "K", "Sample among the K most likely tokens; 0 means all tokens. Default: 0."),
            (sampling, value) => sampling with { TopK = value });
        Add("top_p", NumberOption.Create<float>(
                "--top-p", "P", "Sample among the smallest set of tokens whose probability reaches P, above 0 to 1. Default: 1."),
            (sampling, value) => sampling with { TopP = value });
        Add("seed", NumberOption.Create<ulong>(
                "--seed", "SEED", "Seed of the sampling; the same seed gives the same answer. "
                + "Default: a random seed, which is printed on standard error or in the object of --json."),
            (sampling, value) => sampling with { Seed = value });
        Add("repetition_penalty", NumberOption.Create<float>(
                "--repetition-penalty", "R", "Penalty on tokens that occurred before, 0.1 to 10; 1 is off. Default: 1."),
            (sampling, value) => sampling with { RepetitionPenalty = value });
        Add("frequency_penalty", NumberOption.Create<float>(
                "--frequency-penalty", "F",
                "Lower a token's logit by F for each time that the answer holds it already, -2 to 2; 0 is off. Default: 0."),
            (sampling, value) => sampling with { FrequencyPenalty = value });
        Add("presence_penalty", NumberOption.Create<float>(
                "--presence-penalty", "F",
                "Lower the logit of each token that the answer holds already by F, -2 to 2; 0 is off. Default: 0."),
            (sampling, value) => sampling with { PresencePenalty = value });
        Add("min_p", NumberOption.Create<float>(
                "--min-p", "P", "Sample among the tokens with at least P times the largest probability, 0 to 1; 0 is off. Default: 0."),
            (sampling, value) => sampling with { MinP = value });
        Add("no_repeat_ngram_size", NumberOption.Create<int>(
                "--no-repeat-ngram-size", "N", "Repeat no sequence of N tokens of prompt and answer; 0 is off. Default: 0."),
            (sampling, value) => sampling with { NoRepeatNgramSize = value });
        Add("min_tokens", NumberOption.Create<int>(
                "--min-tokens", "N", "End the answer after at least N tokens, 0 to the maximum number of tokens. Default: 0."),
            (sampling, value) => sampling with { MinTokens = value });
        Add("stop_strings", new Option<string[]>("--stop")
            {
                HelpName = "STRING", Description = "End the answer before STRING appears in it. Repeatable, at most 16 times.",
            },
            (sampling, values) => values.Length > 0 ? sampling with { StopStrings = values } : sampling);
        Add("samples", NumberOption.Create<int>(Samples, "N",
            "Number of answers, one per line; with --beams the N best beams. Default: 1."),
            (sampling, value) => sampling with { Samples = value });
        Add("beams", NumberOption.Create<int>(Beams, "N", "Use a greedy beam search with N beams; 1 is off. Default: 1."),
            (sampling, value) => sampling with { Beams = value });
        Add("length_penalty", NumberOption.Create<float>(
                "--length-penalty", "X", "A beam's score is its log-likelihood / length ^ X, -5 to 5. Default: 1."),
            (sampling, value) => sampling with { LengthPenalty = value });
        Add("logit_bias", new Option<IReadOnlyDictionary<int, float>>("--logit-bias")
            {
                HelpName = "ID=VALUE", Arity = ArgumentArity.OneOrMore, CustomParser = Bias,
                Description = "Add VALUE, -100 to 100, to the logit of token ID. Repeatable.",
            },
            (sampling, biases) => sampling with { LogitBias = biases });
        Add("allowed_tokens", NumberOption.CreateMany<int>(
                "--allow-token", "ID",
                "Generate only the tokens that this option names. Name the stop token too if the answer may end. Repeatable."),
            (sampling, ids) => ids.Length > 0 ? sampling with { AllowedTokens = ids } : sampling);
        Add("log_probabilities", NumberOption.Create<int>(
                "--log-probabilities", "N",
                "Print each token's log-probability and the N most likely tokens at its position, 0 to 20. Default: off."),
            (sampling, value) => sampling with { LogProbabilities = value });
    }

    /// <summary>The names of the service's sampling fields that have an option.</summary>
    public IEnumerable<string> Fields => _options.Select(option => option.Field);

    public void AddTo(Command command)
    {
        foreach (var (option, _, _) in _options) command.Add(option);
    }

    /// <summary>
    /// Applies the options to the sampling parameters of a prompt file. Writes a note to <paramref name="error"/> for every parameter that
    /// has no effect in combination with the others.
    /// </summary>
    /// <param name="names">Receives the names under which errors report the fields.</param>
    /// <exception cref="UsageException">A parameter is out of range.</exception>
    public SamplingParameters Apply(ParseResult parsed, SamplingParameters sampling, FieldNames names, TextWriter error)
    {
        foreach (var (option, name, apply) in _options)
        {
            var field = $"sampling.{name}";
            if (parsed.GetResult(option) is not null || names.Of(field) == field) names.Add(field, option.Name);
            sampling = apply(parsed, sampling);
        }

        var faults = SamplingRules.Faults(sampling).Select(fault => fault with { Field = names.Of(fault.Field) }).ToList();
        if (_oneAnswer && sampling.Samples > 1)
            faults.Add(new(Samples, "A task has one answer.", "Leave the option out, or use 'flamingo generate'."));
        if (faults.Count > 0) throw new UsageException([.. faults.Select(fault => fault.ToString())]);
        foreach (var note in WithoutEffect(sampling, names)) error.WriteLine($"flamingo: {note}");
        return sampling;
    }

    private void Add<T>(string field, Option<T?> option, Func<SamplingParameters, T, SamplingParameters> apply)
        where T : struct =>
        _options.Add((option, field, (parsed, sampling) => parsed.GetValue(option) is { } value ? apply(sampling, value) : sampling));

    private void Add<T>(string field, Option<T> option, Func<SamplingParameters, T, SamplingParameters> apply)
        where T : class =>
        _options.Add((option, field, (parsed, sampling) => parsed.GetValue(option) is { } value ? apply(sampling, value) : sampling));

    private IEnumerable<string> WithoutEffect(SamplingParameters sampling, FieldNames names)
    {
        string Name(string field) => names.Of($"sampling.{field}");
        (string Field, bool Given)[] ofSampling =
            [("top_k", sampling.TopK > 0), ("top_p", sampling.TopP < 1), ("min_p", sampling.MinP > 0), ("seed", sampling.Seed is not null)];
        foreach (var (field, _) in ofSampling.Where(option => option.Given && sampling.Temperature == 0))
            yield return $"{Name(field)} has no effect at temperature 0, where the most likely token is taken. Set {Temperature} above 0.";
        if (sampling is { Temperature: 0, Beams: 1, Samples: > 1 })
            yield return $"{Name("samples")}: at temperature 0 all answers are the same. "
                + $"Set {Temperature} above 0, or {Beams}.";
        if (sampling is { Beams: 1, LengthPenalty: not 1 }) yield return $"{Name("length_penalty")} has no effect without {Beams}.";
        if (_oneAnswer && sampling.LogProbabilities is not null)
            yield return $"{Name("log_probabilities")} has no effect here. Use 'flamingo generate' to print log-probabilities.";
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
