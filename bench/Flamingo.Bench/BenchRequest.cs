using Flamingo.Bench.Figures;
using Flamingo.Bench.Synthesis;

namespace Flamingo.Bench;

/// <summary>What to measure, on what.</summary>
/// <param name="Figures">In the order in which they are measured.</param>
/// <param name="Geometry">Random weights of this geometry are made on the spot; null measures <paramref name="Model"/> itself.</param>
/// <param name="Model">The model directory to measure; beside a geometry it only lends tokenizer and special tokens.</param>
/// <param name="Threads">Compute threads of the model and of the machine's own figures.</param>
/// <param name="Seed">Of pictures and random weights.</param>
/// <param name="Repetitions">Timed rounds that a median is taken of.</param>
public sealed record BenchRequest(IReadOnlyList<Figure> Figures, Geometry? Geometry, string Model, int Threads, int Seed, int Repetitions)
{
    /// <summary>Tokens that each stream generates where decoding is timed.</summary>
    public int StreamTokens { get; init; } = 48;

    /// <summary>Prompts whose answers are compared token by token, each asked greedily and sampled.</summary>
    public int ComparedPrompts { get; init; } = 240;

    /// <summary>Where the made model is kept, or is taken from if it is there; null makes it in a temporary folder and deletes it.</summary>
    public string? Keep { get; init; }

    /// <summary>Configuration of the services as their appsettings.json spells it.</summary>
    public IReadOnlyDictionary<string, string?> Settings { get; init; } = new Dictionary<string, string?>();
}
