using Flamingo.Checkpoints;

namespace Flamingo.Training.Loop;

/// <summary>How long and how a bridge is trained. The defaults are those of OpenFlamingo's published recipe where it names one.</summary>
public sealed record TrainingOptions
{
    /// <summary>Number of optimiser steps of the whole run, those before a resumption included.</summary>
    public required int Steps { get; init; }

    /// <summary>Longest time of the whole run; null sets no limit. The schedule then ends with this time if that is sooner.</summary>
    public TimeSpan? Limit { get; init; }

    /// <summary>Most tokens of one batch of one stream, padding included. A single sequence may have more.</summary>
    public int BatchTokens { get; init; } = 4096;

    /// <summary>Highest learning rate.</summary>
    public double LearningRate { get; init; } = 1e-4;

    /// <summary>Steps during which the rate rises from 0 to the highest.</summary>
    public int WarmUp { get; init; } = 100;

    /// <summary>What follows the warm-up: constant, linear (down to 0) or cosine (down to 0).</summary>
    public string Schedule { get; init; } = "constant";

    public AdamWOptions Optimizer { get; init; } = new();

    /// <summary>Largest norm of all gradients together.</summary>
    public double Clip { get; init; } = 1.0;

    /// <summary>Batches of each stream whose gradients are added before a step.</summary>
    public int Accumulate { get; init; } = 1;

    /// <summary>Whether inner values of layers are computed again for gradients (gradient checkpointing).</summary>
    public bool Recomputes { get; init; }

    /// <summary>Seed of the order of the data.</summary>
    public ulong Seed { get; init; }

    /// <summary>Steps between two checkpoints of the run.</summary>
    public int SaveEvery { get; init; } = 500;

    /// <summary>Steps between two held-out measurements.</summary>
    public int EvaluateEvery { get; init; } = 500;

    /// <summary>Steps between two lines of metrics.</summary>
    public int ReportEvery { get; init; } = 10;

    /// <summary>Weight of the auxiliary loss (see <see cref="TextTeacher"/>); 0 leaves it out.</summary>
    public double TeacherWeight { get; init; }

    /// <summary>Learning rate of a step. A schedule falls from the end of the warm-up on.</summary>
    /// <param name="step">Steps before it.</param>
    /// <param name="time">Part of <see cref="Limit"/> that is over, 0 to 1; 0 without a limit.</param>
    public double RateOf(long step, double time)
    {
        if (step < WarmUp) return LearningRate * step / WarmUp;
        var progress = Math.Clamp(Math.Max((step - WarmUp) / (double)Math.Max(1, Steps - WarmUp), time), 0, 1);
        return LearningRate * Schedule switch
        {
            "linear" => 1 - progress,
            "cosine" => (1 + Math.Cos(Math.PI * progress)) / 2,
            _ => 1,
        };
    }

    /// <exception cref="CheckpointException">An option is out of its range; the message names all of them.</exception>
    public void Check()
    {
        var faults = new List<string>();
        void Must(bool holds, string fault)
        {
            if (!holds) faults.Add(fault);
        }

        Must(Steps > 0, "--steps must be at least 1");
        Must(Limit is null || Limit > TimeSpan.Zero, "--minutes must be above 0");
        Must(BatchTokens > 0, "--batch-tokens must be at least 1");
        Must(LearningRate is > 0 and <= 1, "--learning-rate must be above 0 and at most 1");
        Must(WarmUp >= 0, "--warm-up must be at least 0");
        Must(Schedule is "constant" or "linear" or "cosine", "--schedule must be constant, linear or cosine");
        Must(Accumulate > 0, "--accumulate must be at least 1");
        Must(Clip > 0, "--clip must be above 0");
        Must(Optimizer.WeightDecay is >= 0 and <= 1, "--weight-decay must be from 0 to 1");
        Must(Optimizer.Beta1 is >= 0 and < 1 && Optimizer.Beta2 is >= 0 and < 1, "--beta2 must be at least 0 and below 1");
        Must(SaveEvery > 0 && EvaluateEvery > 0 && ReportEvery > 0, "--save-every and --evaluate-every must be at least 1");
        Must(TeacherWeight >= 0, "--text-teacher must be at least 0");
        if (faults.Count > 0) throw new CheckpointException(string.Join("; ", faults) + ".");
    }
}
