using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Evaluation.Reports;

/// <summary>What a run of <c>flamingo eval</c> came to: its scores, the answers behind them, and everything that repeats it.</summary>
/// <param name="Run">How the run was made.</param>
/// <param name="Scores">One score for each benchmark, group, selection, ablation and number of shots, in the order of the run.</param>
/// <param name="Items">Every answer with its score, in the order in which they were given.</param>
public sealed record EvaluationResults(RunDescription Run, IReadOnlyList<ShotScore> Scores, IReadOnlyList<ScoredItem> Items);

/// <summary>How a run was made, so that somebody else can repeat it.</summary>
/// <param name="Command">The command line as it was typed, without keys.</param>
/// <param name="Version">Version of Flamingo for .NET.</param>
/// <param name="Model">The model's id, as <c>GetModel</c> says.</param>
/// <param name="Digests">Digests of the weights by stage, for example <c>vision</c>, <c>resampler</c>, <c>language</c>.</param>
/// <param name="Template">Name of the model's template, and its texts, by part.</param>
/// <param name="Options">Every option of the run that changes answers, by its name on the command line.</param>
/// <param name="Started">When the run began first; a resumed run keeps it.</param>
/// <param name="Elapsed">Time spent asking, all starts of the run together.</param>
public sealed record RunDescription(
    string Command, string Version, string Model, IReadOnlyDictionary<string, string> Digests,
    IReadOnlyDictionary<string, string> Template, IReadOnlyDictionary<string, string> Options, DateTimeOffset Started, TimeSpan Elapsed);

/// <summary>The score of one group of a benchmark with one number of shots: mean and spread over the trials.</summary>
/// <param name="Benchmark">Name of the benchmark.</param>
/// <param name="Group">As <see cref="BenchmarkItem.Group"/>; empty where the benchmark has one group.</param>
/// <param name="Metric">What the values mean, and their range.</param>
/// <param name="Selection">As <see cref="Condition.Selection"/>.</param>
/// <param name="Ablation">As <see cref="Condition.Ablation"/>.</param>
/// <param name="Shots">Number of shots.</param>
/// <param name="Trials">In the order of their seeds.</param>
/// <param name="Mean">Over the trials.</param>
/// <param name="StandardDeviation">Over the trials, of the population, as OpenFlamingo's evaluation computes it; 0 for one trial.</param>
/// <param name="Low">Lower end of the 95 % bootstrap interval over samples.</param>
/// <param name="High">Upper end of it.</param>
public sealed record ShotScore(
    string Benchmark, string Group, BenchmarkMetric Metric, string Selection, string Ablation, int Shots,
    IReadOnlyList<TrialScore> Trials, double Mean, double StandardDeviation, double Low, double High)
{
    /// <summary>Share of right answers among the best five labels, in percent, mean over the trials; null where it has no
    /// meaning.</summary>
    public double? TopFive { get; init; }
}

/// <summary>The score of one trial.</summary>
/// <param name="Value">In the metric's range.</param>
/// <param name="Count">Number of answers that were scored.</param>
/// <param name="Failed">Number of queries without an answer; they are listed and not scored.</param>
public sealed record TrialScore(int Trial, ulong Seed, double Value, int Count, int Failed);

/// <summary>An answer with its own score.</summary>
/// <param name="Score">
/// In the metric's range; for metrics of all answers together (ROC-AUC) the probability of the right label. Null for a failed item.
/// </param>
public sealed record ScoredItem(ItemAnswer Answer, double? Score);
