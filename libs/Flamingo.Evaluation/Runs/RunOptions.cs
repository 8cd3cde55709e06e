namespace Flamingo.Evaluation.Runs;

/// <summary>What a run asks and how. Everything here changes answers, so a run is resumed only with the same values.</summary>
public sealed record RunOptions
{
    /// <summary>Names of the ablations.</summary>
    public const string None = "none", ShuffledLabels = "shuffled-labels", BlankPictures = "blank-pictures",
        OtherPictures = "other-pictures";

    /// <summary>Selections of shots besides names of support sets.</summary>
    public const string Random = "random", Rices = "rices", Own = "own";

    public static IReadOnlyList<string> AllAblations { get; } = [ShuffledLabels, BlankPictures, OtherPictures];

    /// <summary>Numbers of shots, each asked in turn; null takes each item's own, or 0, 4, 8, 16 and 32.</summary>
    public IReadOnlyList<int>? Shots { get; init; }

    /// <summary>A seed for each trial: what is drawn at random differs between trials and is the same for every model.</summary>
    public IReadOnlyList<ulong> Seeds { get; init; } = [42];

    /// <summary>Most queries of each trial, drawn by its seed; null asks all.</summary>
    public int? Samples { get; init; }

    /// <summary>Random shots are drawn from this many examples, which the trial's seed chooses, as in OpenFlamingo.</summary>
    public int QuerySet { get; init; } = 2048;

    /// <summary><see cref="Random"/>, <see cref="Rices"/>, or the name of a support set of the server.</summary>
    public string Selection { get; init; } = Random;

    /// <summary>Besides the run as it is: the same shots, changed in these ways.</summary>
    public IReadOnlyList<string> Ablations { get; init; } = [];

    /// <summary>Beams of a generated answer; 1 is greedy.</summary>
    public int Beams { get; init; } = 1;

    public float LengthPenalty { get; init; }

    /// <summary>Most tokens of a generated answer; null takes the benchmark's.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Orders of the shots over which the scores of labels are averaged; 1 for none.</summary>
    public int Ensemble { get; init; } = 1;
}
