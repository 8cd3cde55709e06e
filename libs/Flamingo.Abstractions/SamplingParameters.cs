namespace Flamingo.Abstractions;

/// <summary>
/// How the next token is chosen. The steps are applied in this order: logit bias and allowed tokens, repetition penalty, frequency and
/// presence penalty, n-grams that would repeat, minimum number of tokens, temperature, top-k, top-p, min-p.
/// </summary>
public sealed record SamplingParameters
{
    /// <summary>Largest number of tokens to generate, at least 1.</summary>
    public int MaxTokens { get; init; } = 32;

    /// <summary>0 is greedy; otherwise logits are divided by it. 0 to 2.</summary>
    public float Temperature { get; init; }

    /// <summary>Keep the k most likely tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keep the smallest set of most likely tokens whose total probability reaches this value; above 0, at most 1.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>
    /// Keep the tokens whose probability is at least this part of the largest probability; 0 keeps all. 0 to 1. It is applied last, as in
    /// transformers, so top-p measures the probabilities of the tokens that min-p removes too.
    /// </summary>
    public float MinP { get; init; }

    /// <summary>Seed of the counter-based generator (seed, position); the gateway chooses a random seed if it is null.</summary>
    public ulong? Seed { get; init; }

    /// <summary>
    /// Divides the positive and multiplies the negative logits of tokens that already occur in the prompt or answer; 1 is off. 0.1 to 10.
    /// </summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>
    /// Subtracted from a token's logit for each time that the answer holds the token already. Tokens of the prompt do not count. −2 to 2;
    /// 0 is off.
    /// </summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>
    /// Subtracted once from the logit of each token that the answer holds already. Tokens of the prompt do not count. −2 to 2; 0 is off.
    /// </summary>
    public float PresencePenalty { get; init; }

    /// <summary>
    /// No sequence of this many token ids occurs twice in prompt and answer together, unless the prompt itself repeats one. 0 is off; at
    /// most the model's context length.
    /// </summary>
    public int NoRepeatNgramSize { get; init; }

    /// <summary>
    /// The first so many tokens do not end the answer: the model's stop tokens and <see cref="StopTokens"/> are not chosen, and a stop
    /// string that is complete within them is part of the text. 0 to <see cref="MaxTokens"/>.
    /// </summary>
    public int MinTokens { get; init; }

    /// <summary>Generation stops before any of these texts would appear in the answer; at most 16 strings of 1 to 256 characters.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Generation stops at any of these token ids besides the model's own; at most 64.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>
    /// Number of answers to one prompt, which is computed once. Answer i uses seed + i. With a beam search, the number of best
    /// beams to return.
    /// </summary>
    public int Samples { get; init; } = 1;

    /// <summary>Number of beams of a beam search as in transformers 4.33; 1 turns beam search off. It requires temperature 0.</summary>
    public int Beams { get; init; } = 1;

    /// <summary>A beam's score is its log-likelihood / (prompt length + generated length) ^ LengthPenalty. −5 to 5.</summary>
    public float LengthPenalty { get; init; } = 1;

    /// <summary>Added to logits before anything else, by token id; −100 to 100, at most 1024 ids.</summary>
    public IReadOnlyDictionary<int, float> LogitBias { get; init; } = new Dictionary<int, float>();

    /// <summary>
    /// The only token ids that may be generated, each once, so they must include a stop token if the answer shall be able to stop; empty
    /// allows all.
    /// </summary>
    public IReadOnlyList<int> AllowedTokens { get; init; } = [];

    /// <summary>
    /// Number of most likely tokens, at most 20, whose log-probabilities are returned beside that of each generated token. They
    /// are computed from the logits before sampling changes them. Null returns none.
    /// </summary>
    public int? LogProbabilities { get; init; }
}
