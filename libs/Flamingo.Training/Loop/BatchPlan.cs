using Flamingo.Checkpoints;
using Flamingo.Training.Data;
using Flamingo.Training.Network;

namespace Flamingo.Training.Loop;

/// <summary>Where a stream stands: the next batch, within the next window of sequences.</summary>
public sealed record StreamPosition(long Window, int Batch)
{
    public static StreamPosition Start { get; } = new(0, 0);
}

/// <summary>
/// Cuts a stream of sequences into batches of about one length. Sequences are taken by windows; those of a window are sorted by length,
/// cut so that no batch has more than some tokens, and their batches are shuffled. A position is therefore a window and a batch in it, and
/// a resumed run passes over whole windows.
/// </summary>
/// <param name="read">Reads the sequences of the stream after so many others.</param>
/// <param name="keep">Whether a sequence can be used; called once for each, in order.</param>
/// <param name="batchTokens">Most tokens of a batch, padding included.</param>
/// <param name="seed">Seed of the order of batches.</param>
public sealed class BatchPlan(
    Func<long, IEnumerable<TrainingSequence>> read, Func<TrainingSequence, bool> keep, int batchTokens, ulong seed)
{
    private const int WindowSize = 256;

    /// <summary>Returns batches as long as there are sequences, each with the position after it.</summary>
    /// <exception cref="CheckpointException">No sequence of a window can be used.</exception>
    public IEnumerable<(IReadOnlyList<TrainingSequence> Batch, StreamPosition Next)> From(StreamPosition start)
    {
        var (window, skipped) = (start.Window, start.Batch);
        // Each sequence is looked at as it is read, so that broken ones are known at the end of an epoch.
        var kept = read(start.Window * WindowSize).Select(sequence => keep(sequence) ? sequence : null);
        foreach (var sequences in kept.Chunk(WindowSize))
        {
            var batches = Cut([.. sequences.OfType<TrainingSequence>()]);
            if (batches.Length == 0)
                throw new CheckpointException($"None of {sequences.Length} samples in a row can be used. Look at the data's pictures.");
            new Random(HashCode(seed, window)).Shuffle(batches);
            for (var at = skipped; at < batches.Length; at++)
                yield return (batches[at],
                    at + 1 < batches.Length ? new StreamPosition(window, at + 1) : new StreamPosition(window + 1, 0));
            (window, skipped) = (window + 1, 0);
        }
    }

    /// <summary>Pads sequences on the right to one length.</summary>
    /// <param name="padding">Id of the padding token.</param>
    public static TrainingBatch Pad(IReadOnlyList<TrainingSequence> sequences, int padding)
    {
        var (length, picture) = (sequences.Max(sequence => sequence.Ids.Length), 0);
        int[] Longer(int[] row, int value) => [.. row, .. Enumerable.Repeat(value, length - row.Length)];
        return new TrainingBatch(
            [.. sequences.Select(sequence => Longer(sequence.Ids, padding))],
            [.. sequences.Select(sequence => Longer(sequence.Labels, TrainingBatch.Ignored))],
            [.. sequences.Select(sequence => sequence.Pictures.Select(_ => picture++).ToArray())]);
    }

    // string.GetHashCode and HashCode differ between runs of a program.
    private static int HashCode(ulong seed, long window) =>
        unchecked((int)(((seed * 0x9E3779B97F4A7C15) + (ulong)window) * 0xBF58476D1CE4E5B9 >> 33));

    private TrainingSequence[][] Cut(TrainingSequence[] sequences)
    {
        var (batches, batch) = (new List<TrainingSequence[]>(), new List<TrainingSequence>());
        foreach (var sequence in sequences.OrderBy(sequence => sequence.Ids.Length))
        {
            // The sequence is the longest so far, so it decides the padding of all.
            if (batch.Count > 0 && (batch.Count + 1) * sequence.Ids.Length > batchTokens)
            {
                batches.Add([.. batch]);
                batch.Clear();
            }

            batch.Add(sequence);
        }

        if (batch.Count > 0) batches.Add([.. batch]);
        return [.. batches];
    }
}
