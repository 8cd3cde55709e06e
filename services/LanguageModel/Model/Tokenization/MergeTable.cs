using System.Text;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// Byte pair merging in O(n log n). Microsoft.ML.Tokenizers closes the gaps that merging leaves one by one, which is
/// quadratic in the length of a piece: nothing for words, minutes for a megabyte without a blank. Such pieces come here.
/// </summary>
public sealed class MergeTable
{
    private readonly Dictionary<(int Left, int Right), (int Rank, int Merged)> _merges;
    private readonly int[] _byteIds = new int[256];

    /// <exception cref="CheckpointException">A byte has no token, a merge names or makes no token, or comes twice.</exception>
    public MergeTable(IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<(string Left, string Right)> merges)
    {
        for (var value = 0; value < 256; value++)
        {
            if (!vocabulary.TryGetValue(ByteAlphabet.CharacterOf((byte)value).ToString(), out _byteIds[value]))
                throw new CheckpointException($"The vocabulary has no token for byte 0x{value:X2}, so text that holds it could not be encoded.");
        }

        _merges = new(merges.Count);
        for (var rank = 0; rank < merges.Count; rank++)
        {
            var (left, right) = merges[rank];
            if (!_merges.TryAdd((IdOf(left, rank), IdOf(right, rank)), (rank, IdOf(left + right, rank))))
                throw new CheckpointException($"Merge {rank} ('{left}' and '{right}') stands in the list twice.");
        }

        int IdOf(string token, int rank) => vocabulary.TryGetValue(token, out var id)
            ? id
            : throw new CheckpointException($"Merge {rank} speaks of '{token}', which is not in the vocabulary.");
    }

    /// <summary>Appends the ids of one piece.</summary>
    /// <returns>How many candidate pairs were looked at: the work done, at most three times the piece's bytes.</returns>
    public int Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(piece)];
        Encoding.UTF8.GetBytes(piece, bytes);
        var count = bytes.Length;

        // Symbols are a linked list over the bytes: a merge keeps the left one and unlinks the right one (id -1).
        var symbols = new int[count];
        var next = new int[count];
        var previous = new int[count];
        var queue = new PriorityQueue<(int At, int Merged), (int Rank, int At)>(count);
        for (var i = 0; i < count; i++) (symbols[i], next[i], previous[i]) = (_byteIds[bytes[i]], i + 1, i - 1);
        for (var i = 0; i < count - 1; i++) Offer(i);

        var looked = 0;
        while (queue.TryDequeue(out var pair, out _))
        {
            looked++;
            var (at, merged) = pair;
            var right = next[at];
            if (symbols[at] < 0 || right >= count) continue;
            if (!_merges.TryGetValue((symbols[at], symbols[right]), out var merge) || merge.Merged != merged) continue;
            symbols[at] = merged;
            symbols[right] = -1;
            next[at] = next[right];
            if (next[at] < count) previous[next[at]] = at;
            if (previous[at] >= 0) Offer(previous[at]);
            Offer(at);
        }

        for (var i = 0; i < count; i = next[i]) ids.Add(symbols[i]);
        return looked;

        void Offer(int at)
        {
            if (next[at] < count && _merges.TryGetValue((symbols[at], symbols[next[at]]), out var merge))
                queue.Enqueue((at, merge.Merged), (merge.Rank, at));
        }
    }
}
