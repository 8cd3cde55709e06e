using Flamingo.Bench.Synthesis;

namespace Flamingo.Bench.Peers;

/// <summary>One comparison with llama.cpp.</summary>
/// <param name="Lender">Model directory whose tokenizer and special tokens are used.</param>
/// <param name="Turns">Number of times that each side is measured, one after the other.</param>
/// <param name="Tokens">Number of tokens that a turn decodes.</param>
/// <param name="PromptTokens">Number of tokens of the prompt whose prefill is timed.</param>
public sealed record PeerRequest(
    Geometry Geometry, string Lender, IReadOnlyList<PeerWeights> Weights, int Threads, int Turns, int Tokens, int PromptTokens, int Seed)
{
    /// <summary>The folder that keeps our model, or already holds it; null for a temporary folder that is deleted.</summary>
    public string? Keep { get; init; }
}
