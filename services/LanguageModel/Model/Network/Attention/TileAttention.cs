using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Flamingo.Modeling.Kernels;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>The tensors of one call of attention, and the computation of a tile of its rows for one head.</summary>
/// <typeparam name="T">Type in which elements are stored: float, or ushort for bf16.</typeparam>
internal sealed unsafe class TileAttention<T> where T : unmanaged
{
    private const int PrefetchBytes = 8192;

    private readonly BlockLayout _layout;
    private readonly AttentionRows _rows;
    private readonly float[]? _slopes;
    private readonly T* _query, _keys, _values, _output;
    private readonly long _queryStride;
    private readonly int _width; // of a head in working memory, rounded up to whole vectors
    private readonly float _scale;

    public TileAttention(
        BlockLayout layout, AttentionRows rows, float[]? slopes, TensorMemory query, TensorMemory keys, TensorMemory values,
        TensorMemory output)
        : this(layout, rows, slopes, query.Address, query.Stride, keys.Address, values.Address, output.Address)
    {
    }

    /// <param name="queryStride">Number of elements from one row of the query to the next.</param>
    public TileAttention(
        BlockLayout layout, AttentionRows rows, float[]? slopes, nint query, long queryStride, nint keys, nint values, nint output)
    {
        (_layout, _rows, _slopes) = (layout, rows, slopes);
        _query = (T*)query;
        _keys = (T*)keys;
        _values = (T*)values;
        _output = (T*)output;
        (_queryStride, _width, _scale) = (queryStride, Lanes.Padded(layout.Head), (float)(1 / Math.Sqrt(layout.Head)));
    }

    /// <param name="queryHead">Index of the query head. With grouped heads, several query heads share one head of keys and values.</param>
    public void Compute(RowTile tile, int queryHead, TileScratch scratch)
    {
        var head = queryHead / _layout.Group;
        scratch.Reserve(tile, _layout.BlockTokens, _width);
        for (var row = 0; row < tile.Count; row++)
            Widen(_query + (tile.First + row) * _queryStride + queryHead * _layout.Head, 1, scratch.Query + row * _width);
        Score(tile, head, scratch);
        var sums = stackalloc float[tile.Count];
        for (var row = 0; row < tile.Count; row++)
        {
            sums[row] = AttentionKernel.Softmax(
                scratch.Scores + row * scratch.ScoreStride, _rows.Rows[tile.First + row].Length, _scale, _slopes?[queryHead] ?? 0);
        }

        Mix(tile, head, scratch);
        for (var row = 0; row < tile.Count; row++)
        {
            var output = _output + (long)(tile.First + row) * _layout.QueryWidth + queryHead * _layout.Head;
            for (var lane = 0; lane < _layout.Head; lane++) Write(output + lane, scratch.Mixed[row * _width + lane] / sums[row]);
        }
    }

    private void Score(RowTile tile, int head, TileScratch scratch)
    {
        var direct = Direct(tile);
        for (var (block, start) = (0, 0); start < tile.Longest; block++, start += _layout.BlockTokens)
        {
            Prefetch(tile, head, block);
            var count = Math.Min(_layout.BlockTokens, tile.Longest - start);
            var keys = Block(_keys, tile, head, block);
            if (direct)
                AttentionKernel.Scores(
                    scratch.Query, _width, tile.Count, keys, _width, count, _width, scratch.Scores + start, scratch.ScoreStride);
            else AttentionKernel.Scores(
                scratch.Query, _width, tile.Count, Widen(keys, count, scratch.Block), _width, count, _width, scratch.Scores + start,
                scratch.ScoreStride);
        }
    }

    private void Mix(RowTile tile, int head, TileScratch scratch)
    {
        var direct = Direct(tile);
        var counts = stackalloc int[tile.Count];
        new Span<float>(scratch.Mixed, tile.Count * _width).Clear();
        for (var (block, start) = (0, 0); start < tile.Longest; block++, start += _layout.BlockTokens)
        {
            Prefetch(tile, head, _layout.BlocksFor(tile.Longest) + block);
            var count = Math.Min(_layout.BlockTokens, tile.Longest - start);
            for (var row = 0; row < tile.Count; row++) counts[row] = Math.Clamp(_rows.Rows[tile.First + row].Length - start, 0, count);
            var values = Block(_values, tile, head, block);
            if (direct)
                AttentionKernel.Mix(
                    scratch.Scores + start, scratch.ScoreStride, tile.Count, counts, values, _width, _width, scratch.Mixed, _width);
            else AttentionKernel.Mix(
                scratch.Scores + start, scratch.ScoreStride, tile.Count, counts, Widen(values, count, scratch.Block), _width, _width,
                scratch.Mixed, _width);
        }
    }

    // Whether blocks are read without a copy. Heads must consist of whole vectors; bf16 that several rows read is converted to
    // f32 once instead.
    private bool Direct(RowTile tile) => _layout.Head == _width && (typeof(T) == typeof(float) || tile.Count == 1);

    private T* Block(T* pool, RowTile tile, int head, int block) =>
        pool + _layout.Offset(_rows.Tables[_rows.Rows[tile.First].Table + block], head);

    // Prefetches the block that is read some steps later, first all keys and then all values. The blocks of a head are not
    // contiguous, so the CPU's own prefetcher does not predict them. The target is the second-level cache, because the first
    // level has too few line buffers: prefetching into it was measured to be half as fast.
    private void Prefetch(RowTile tile, int head, int step)
    {
        if (!Sse.IsSupported) return;
        var (blocks, bytes) = (_layout.BlocksFor(tile.Longest), _layout.BlockTokens * _layout.Head * sizeof(T));
        step += Math.Max(1, PrefetchBytes / bytes);
        if (step >= 2 * blocks) return;
        var block = (byte*)Block(step < blocks ? _keys : _values, tile, head, step % blocks);
        for (var line = 0; line < bytes; line += 64) Sse.Prefetch2(block + line);
    }

    // Converts tokens of one head to f32, each padded with zeros to whole vectors.
    private float* Widen(T* source, int tokens, float* target)
    {
        for (var token = 0; token < tokens; token++)
        {
            T* from = source + token * _layout.Head;
            var to = target + token * _width;
            var lane = 0;
            for (; lane <= _layout.Head - Lanes.Count; lane += Lanes.Count) Lanes.Load(from + lane).Store(to + lane);
            for (; lane < _width; lane++) to[lane] = lane < _layout.Head ? Lanes.Load(from[lane]) : 0;
        }

        return target;
    }

    private static void Write(T* target, float value)
    {
        if (typeof(T) == typeof(float)) *(float*)target = value;
        else *(ushort*)target = Lanes.ToBFloat16(value);
    }
}
