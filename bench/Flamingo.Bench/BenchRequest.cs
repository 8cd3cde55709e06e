using Flamingo.Bench.Figures;
using Flamingo.Bench.Synthesis;

namespace Flamingo.Bench;

/// <summary>The figures of one run and the model that it measures.</summary>
/// <param name="Figures">The figures, in the order in which they are measured.</param>
/// <param name="Geometry">The run creates random weights of this geometry; null measures <paramref name="Model"/> itself.</param>
/// <param name="Model">The model directory to measure. With a geometry, only its tokenizer and special tokens are used.</param>
/// <param name="Threads">Number of compute threads of the model and of the figures about the machine.</param>
/// <param name="Seed">Seed of pictures and random weights.</param>
/// <param name="Repetitions">Number of timed rounds, whose median is reported.</param>
public sealed record BenchRequest(IReadOnlyList<Figure> Figures, Geometry? Geometry, string Model, int Threads, int Seed, int Repetitions)
{
    /// <summary>Number of tokens that each stream generates when decoding is timed.</summary>
    public int StreamTokens { get; init; } = 48;

    /// <summary>How long nobody asks, where idle stages are measured.</summary>
    public TimeSpan IdleTime { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Number of prompts whose greedy and sampled answers are compared token by token.</summary>
    public int ComparedPrompts { get; init; } = 240;

    /// <summary>The folder that keeps the created model, or already holds it; null for a temporary folder that is deleted.</summary>
    public string? Keep { get; init; }

    /// <summary>Configuration of the services, with the keys of their appsettings.json.</summary>
    public IReadOnlyDictionary<string, string?> Settings { get; init; } = new Dictionary<string, string?>();
}
