namespace Flamingo.Abstractions;

/// <summary>How the next token is chosen. Order: logit bias and allowed tokens, repetition penalty, temperature, top-k, top-p.</summary>
public sealed record SamplingParameters
{
    /// <summary>Most tokens to generate, at least 1.</summary>
    public int MaxTokens { get; init; } = 32;

    /// <summary>0 is greedy; otherwise logits are divided by it. 0 to 2.</summary>
    public float Temperature { get; init; }

    /// <summary>Keep the k most likely tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keep the smallest set of tokens whose probability reaches it; above 0, at most 1.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Seed of the counter-based generator (seed, position); the gateway draws one where it is absent.</summary>
    public ulong? Seed { get; init; }

    /// <summary>
    /// Divides positive and multiplies negative logits of tokens that prompt or answer already hold; 1 is off. 0.1 to 10.
    /// </summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Generation stops before any of these would appear; at most 16 strings of 1 to 256 characters.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Generation stops at any of these token ids besides the model's own; at most 64.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>
    /// Answers of one prompt, which is computed once; sample i of seed s draws with seed s + i. With beams: how many of the best to
    /// return.
    /// </summary>
    public int Samples { get; init; } = 1;

    /// <summary>Beams of a beam search as transformers 4.33 does it; 1 is off. Greedy only: temperature 0.</summary>
    public int Beams { get; init; } = 1;

    /// <summary>A beam's score is its log-likelihood / (prompt and generated length) ^ this. −5 to 5.</summary>
    public float LengthPenalty { get; init; } = 1;

    /// <summary>Added to logits before anything else, by token id; −100 to 100, at most 1024 ids.</summary>
    public IReadOnlyDictionary<int, float> LogitBias { get; init; } = new Dictionary<int, float>();

    /// <summary>The only token ids that may be generated, the model's stop tokens included where wanted; empty is all.</summary>
    public IReadOnlyList<int> AllowedTokens { get; init; } = [];

    /// <summary>
    /// Log-probabilities of each generated token and of the n most likely ones, from the logits before sampling changes them; null
    /// is off, at most 20.
    /// </summary>
    public int? LogProbabilities { get; init; }
}
