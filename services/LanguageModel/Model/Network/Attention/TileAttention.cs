using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>One call's memory, and how a tile of its rows is computed for one head.</summary>
/// <typeparam name="T">How elements are stored: float, or ushort for bf16.</typeparam>
public sealed unsafe class TileAttention<T> where T : unmanaged
{
    public static int PrefetchBytes = 8192;
    private readonly BlockLayout _layout;
    private readonly AttentionRows _rows;
    private readonly float[]? _slopes;
    private readonly T* _query, _keys, _values, _output;
    private readonly long _queryStride;
    private readonly int _width;
    private readonly float _scale;

    public TileAttention(BlockLayout layout, AttentionRows rows, float[]? slopes, TensorMemory query, TensorMemory keys, TensorMemory values, TensorMemory output)
    {
        (_layout, _rows, _slopes) = (layout, rows, slopes);
        _query = (T*)query.At(0);
        _keys = (T*)keys.At(0);
        _values = (T*)values.At(0);
        _output = (T*)output.At(0);
        (_queryStride, _width, _scale) = (query.Stride, Lanes.Padded(layout.Head), (float)(1 / Math.Sqrt(layout.Head)));
    }

    public void Compute(RowTile tile, int head, TileScratch scratch)
    {
        scratch.Reserve(tile, _layout.BlockTokens, _width);
        for (var row = 0; row < tile.Count; row++) Widen(_query + (tile.First + row) * _queryStride + head * _layout.Head, 1, scratch.Query + row * _width);

        var (table, direct) = (_rows.Rows[tile.First].Table, Direct(tile));
        for (var (block, start) = (0, 0); start < tile.Longest; block++, start += _layout.BlockTokens)
        {
            var keys = _keys + _layout.Offset(_rows.Tables[table + block], head);
            var count = Math.Min(_layout.BlockTokens, tile.Longest - start);
            Prefetch(tile, head, block);
            if (direct) AttentionKernel.Scores(scratch.Query, _width, tile.Count, keys, _layout.Head, count, _width, scratch.Scores + start, scratch.ScoreStride);
            else AttentionKernel.Scores(scratch.Query, _width, tile.Count, Widen(keys, count, scratch.Block), _width, count, _width, scratch.Scores + start, scratch.ScoreStride);
        }

        var sums = stackalloc float[tile.Count];
        for (var row = 0; row < tile.Count; row++)
        {
            sums[row] = AttentionKernel.Softmax(scratch.Scores + row * scratch.ScoreStride, _rows.Rows[tile.First + row].Length, _scale, _slopes?[head] ?? 0);
        }

        var counts = stackalloc int[tile.Count];
        new Span<float>(scratch.Mixed, tile.Count * _width).Clear();
        for (var (block, start) = (0, 0); start < tile.Longest; block++, start += _layout.BlockTokens)
        {
            var values = _values + _layout.Offset(_rows.Tables[table + block], head);
            var count = Math.Min(_layout.BlockTokens, tile.Longest - start);
            Prefetch(tile, head, _layout.BlocksFor(tile.Longest) + block);
            for (var row = 0; row < tile.Count; row++) counts[row] = Math.Clamp(_rows.Rows[tile.First + row].Length - start, 0, count);
            if (direct) AttentionKernel.Mix(scratch.Scores + start, scratch.ScoreStride, tile.Count, counts, values, _layout.Head, _width, scratch.Mixed, _width);
            else AttentionKernel.Mix(scratch.Scores + start, scratch.ScoreStride, tile.Count, counts, Widen(values, count, scratch.Block), _width, _width, scratch.Mixed, _width);
        }

        for (var row = 0; row < tile.Count; row++)
        {
            var output = _output + (long)(tile.First + row) * _layout.Width + head * _layout.Head;
            for (var lane = 0; lane < _layout.Head; lane++) Write(output + lane, scratch.Mixed[row * _width + lane] / sums[row]);
        }
    }

    // Asks for a block some steps ahead, keys first, then values: neighbouring blocks of a head lie apart, and only so does memory
    // keep up. Into the second cache: asked for the first, the lines would hold the few fill buffers that reading itself needs (half the speed).
    private void Prefetch(RowTile tile, int head, int step)
    {
        if (!Sse.IsSupported) return;
        var (blocks, table) = (_layout.BlocksFor(tile.Longest), _rows.Rows[tile.First].Table);
        var bytes = _layout.BlockTokens * _layout.Head * sizeof(T);
        step += Math.Max(1, PrefetchBytes / bytes);
        if (step >= 2 * blocks) return;
        var block = (byte*)((step < blocks ? _keys : _values) + _layout.Offset(_rows.Tables[table + step % blocks], head));
        for (var line = 0; line < bytes; line += 64) Sse.Prefetch2(block + line);
    }

    // whole vectors can be read from where they lie; bf16 that several rows want is widened once instead
    private bool Direct(RowTile tile) => _layout.Head == _width && (typeof(T) == typeof(float) || tile.Count == 1);

    // tokens of one head as f32, each padded with zeros to whole vectors
    private float* Widen(T* source, int tokens, float* target)
    {
        for (var token = 0; token < tokens; token++)
        {
            T* from = source + token * _layout.Head;
            var to = target + token * _width;
            var lane = 0;
            for (; lane <= _layout.Head - Lanes.Count; lane += Lanes.Count) Vector512.Store(Lanes.Load(from + lane), to + lane);
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
