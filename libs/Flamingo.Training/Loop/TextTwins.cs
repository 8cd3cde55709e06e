using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Training.Data;
using Flamingo.Training.Network;

namespace Flamingo.Training.Loop;

/// <summary>
/// Writes sequences as text alone, with <c>[description]</c> in the place of each picture, for <see cref="TextTeacher"/>.
/// </summary>
/// <param name="tokens">Special tokens of the model.</param>
/// <param name="tokenizer">The model's tokenizer.</param>
public sealed class TextTwins(TokensConfig tokens, ITokenizer tokenizer)
{
    private const int MostKept = 100_000;

    private readonly Dictionary<string, int[]> _described = new(StringComparer.Ordinal);

    /// <returns>Null if a picture has no description.</returns>
    /// <param name="sequences">The sequences of a batch.</param>
    /// <param name="batch">The batch that was made of them.</param>
    public TextTwin? Of(IReadOnlyList<TrainingSequence> sequences, TrainingBatch batch)
    {
        if (sequences.Any(sequence => sequence.Descriptions.Any(description => description is null))) return null;
        var twins = sequences.Select(Write).ToList();
        var length = twins.Max(twin => twin.Ids.Count);
        var padding = tokens.Padding?.Id ?? 0;
        return new TextTwin(
            [.. twins.Select(twin => (int[])[.. twin.Ids, .. Enumerable.Repeat(padding, length - twin.Ids.Count)])],
            [
                .. from sequence in Enumerable.Range(0, sequences.Count)
                   from token in Enumerable.Range(1, batch.Length - 1)
                   where batch.Labels[sequence][token] != TrainingBatch.Ignored
                   select ((long)sequence * length) + twins[sequence].Places[token] - 1,
            ]);
    }

    // Ids of the twin, and the place in it of each token of the sequence.
    private (List<int> Ids, int[] Places) Write(TrainingSequence sequence)
    {
        var (ids, places, picture) = (new List<int>(), new int[sequence.Ids.Length], 0);
        for (var token = 0; token < sequence.Ids.Length; token++)
        {
            places[token] = ids.Count;
            if (sequence.Ids[token] == tokens.Image.Id) ids.AddRange(Described(sequence.Descriptions[picture++]!));
            else if (sequence.Ids[token] != tokens.AroundImage?.Id) ids.Add(sequence.Ids[token]);
        }

        return (ids, places);
    }

    private int[] Described(string description)
    {
        if (_described.TryGetValue(description, out var ids)) return ids;
        if (_described.Count == MostKept) _described.Clear();
        return _described[description] = [.. tokenizer.Encode($"[{description}]")];
    }
}
