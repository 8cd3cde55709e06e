namespace Flamingo.Evaluation.Runs;

/// <summary>The circumstances under which all queries of a benchmark are asked once.</summary>
/// <param name="Shots">Number of shots in each prompt.</param>
/// <param name="Trial">0-based; each trial has a seed of its own.</param>
/// <param name="Seed">Seed of the drawing of shots and, where fewer than all are asked, of queries.</param>
/// <param name="Selection">How shots are chosen: <c>random</c>, <c>rices</c>, <c>own</c> (the items' own) or a support set's name.</param>
/// <param name="Ablation">
/// What was done to the shots: <c>none</c>, <c>shuffled-labels</c>, <c>blank-pictures</c> or <c>other-pictures</c>.
/// </param>
public sealed record Condition(int Shots, int Trial, ulong Seed, string Selection, string Ablation = "none");

/// <summary>The answer to one query under one condition. A run's file has one per line.</summary>
/// <param name="Benchmark">Name of the benchmark.</param>
/// <param name="Group">As <see cref="Datasets.BenchmarkItem.Group"/>.</param>
/// <param name="Id">Id of the query.</param>
/// <param name="Shots">Ids of the shots in the order of the prompt.</param>
/// <param name="Text">The answer as it was generated, after the template's cut; for labels the best label.</param>
public sealed record ItemAnswer(
    string Benchmark, string Group, Condition Condition, string Id, IReadOnlyList<string> Shots, string Text)
{
    /// <summary>The score of each label, in the order of the benchmark's labels; null where there are none.</summary>
    public IReadOnlyList<double>? Scores { get; init; }

    /// <summary>Why there is no answer; such an item is listed and never scored. Null where there is one.</summary>
    public string? Error { get; init; }
}
