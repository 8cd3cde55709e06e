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
    /// <summary>The same sequences as text alone, for the auxiliary loss; null if pictures have no descriptions.</summary>
    public TextTwin? Twin { get; init; }

    /// <summary>A label that does not count.</summary>
    public const int Ignored = -100;

    /// <summary>Number of tokens of each sequence, padding included.</summary>
    public int Length => Ids[0].Length;

    /// <summary>Places whose logits are compared with a label, sequence × tokens + token, with the label.</summary>
    public IEnumerable<(long Place, long Label)> Places =>
        from sequence in Enumerable.Range(0, Ids.Length)
        from token in Enumerable.Range(1, Length - 1)
        where Labels[sequence][token] != Ignored
        select (((long)sequence * Length) + token - 1, (long)Labels[sequence][token]);

    /// <summary>Number of labels that count in the loss.</summary>
    public int Counted => Labels.Sum(labels => labels.Skip(1).Count(label => label != Ignored));
}

/// <summary>Sequences with a description in the place of each picture.</summary>
/// <param name="Ids">Token ids, padded to one length, [sequences][tokens].</param>
/// <param name="Places">For each of the batch's places, in the same order, the place of the same label here.</param>
public sealed record TextTwin(int[][] Ids, long[] Places);
