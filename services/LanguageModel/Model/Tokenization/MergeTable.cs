using System.Text;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// Byte pair merging in O(n log n), for every model family. Microsoft.ML.Tokenizers cannot replace it: that library reads
/// SentencePiece only from tokenizer.model, and its merging is quadratic in the length of a piece, which takes minutes for a
/// megabyte without a space. The tests compare this class with the library where the library can be used.
/// </summary>
public sealed class MergeTable
{
    private readonly Dictionary<(int Left, int Right), (int Rank, int Merged)> _merges;
    private readonly int[] _byteIds = new int[256];
    private readonly Dictionary<int, int>? _characterIds; // ids by rune, with byte fallback only

    /// <param name="byteFallback">
    /// If true, merging starts from characters, and from byte tokens such as &lt;0x41&gt; for characters that the vocabulary
    /// lacks. If false, it starts from bytes.
    /// </param>
    /// <exception cref="CheckpointException">A byte has no token, a merge refers to an unknown token, or a merge occurs twice.</exception>
    public MergeTable(
        IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<(string Left, string Right)> merges, bool byteFallback = false)
    {
        for (var value = 0; value < 256; value++)
        {
            var token = byteFallback ? SentencePieceRules.ByteToken(value) : $"{ByteAlphabet.CharacterOf((byte)value)}";
            if (!vocabulary.TryGetValue(token, out _byteIds[value]))
                throw new CheckpointException(
                    $"The vocabulary has no token for byte 0x{value:X2}, so text that contains it could not be encoded.");
        }

        if (byteFallback)
            _characterIds = vocabulary.Where(entry => entry.Key.EnumerateRunes().Take(2).Count() == 1)
                .ToDictionary(entry => entry.Key.EnumerateRunes().First().Value, entry => entry.Value);
        _merges = new(merges.Count);
        for (var rank = 0; rank < merges.Count; rank++)
        {
            var (left, right) = merges[rank];
            if (!_merges.TryAdd((IdOf(left, rank), IdOf(right, rank)), (rank, IdOf(left + right, rank))))
                throw new CheckpointException($"Merge {rank} ('{left}' and '{right}') occurs twice in the list.");
        }

        int IdOf(string token, int rank) => vocabulary.TryGetValue(token, out var id)
            ? id
            : throw new CheckpointException($"Merge {rank} refers to '{token}', which is not in the vocabulary.");
    }

    /// <summary>Appends the ids of one piece.</summary>
    /// <returns>Number of candidate pairs that were examined, as a measure of work; at most three times the number of bytes of
    /// the piece.</returns>
    public int Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        // Symbols are a linked list over the bytes or characters: a merge keeps the left one and unlinks the right one (id -1).
        var symbols = Symbols(piece);
        var count = symbols.Length;
        var next = new int[count];
        var previous = new int[count];
        var queue = new PriorityQueue<(int At, int Merged), (int Rank, int At)>(count);
        for (var i = 0; i < count; i++) (next[i], previous[i]) = (i + 1, i - 1);
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

    private int[] Symbols(ReadOnlySpan<char> piece)
    {
        if (_characterIds is null)
        {
            var ids = new int[Encoding.UTF8.GetByteCount(piece)];
            var bytes = new byte[ids.Length];
            Encoding.UTF8.GetBytes(piece, bytes);
            for (var i = 0; i < ids.Length; i++) ids[i] = _byteIds[bytes[i]];
            return ids;
        }

        var symbols = new List<int>(piece.Length);
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var rune in piece.EnumerateRunes())
        {
            if (_characterIds.TryGetValue(rune.Value, out var id)) symbols.Add(id);
            else foreach (var value in utf8[..rune.EncodeToUtf8(utf8)]) symbols.Add(_byteIds[value]);
        }

        return [.. symbols];
    }
}
