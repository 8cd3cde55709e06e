namespace Flamingo.Training.Network;

/// <summary>Sequences of one step, padded on the right to one length.</summary>
/// <param name="Ids">Token ids, [sequences][tokens].</param>
/// <param name="Labels">
/// The token that each place holds if it counts in the loss, else <see cref="Ignored"/>, [sequences][tokens]. The loss of a label is that
/// of the logits one place before it.
/// </param>
/// <param name="Pictures">For each sequence, the indices of its pictures among the features of the step, in reading order.</param>
public sealed record TrainingBatch(int[][] Ids, int[][] Labels, int[][] Pictures)
{
    /// <summary>A label that does not count.</summary>
    public const int Ignored = -100;

    /// <summary>Number of tokens of each sequence, padding included.</summary>
    public int Length => Ids[0].Length;

    /// <summary>Number of labels that count in the loss.</summary>
    public int Counted => Labels.Sum(labels => labels.Skip(1).Count(label => label != Ignored));
}
