using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Kernels;

namespace Flamingo.LanguageModel.Network.FewRows;

/// <summary>Prepares a row of queries, keys and values for self-attention: norms, rotation, and the place in the text's blocks.</summary>
/// <param name="layout">Sizes of the text's blocks and heads.</param>
/// <param name="store">Addresses of the layer's keys and values.</param>
internal sealed unsafe class TextHeadPhase(
    FewRowState state, BlockLayout layout, (nint Keys, nint Values) store, RowNorm? queryNorm, RowNorm? keyNorm, RowRotation? rotation)
    : Phase<FewRowWorker>
{
    private readonly int _queries = layout.QueryWidth, _keys = layout.Heads * layout.Head;

    public override int Items => state.Rows;

    public override void Compute(int item, FewRowWorker worker)
    {
        float* joined = state.Joined.Row(item), row = worker.Normed.Start;
        new ReadOnlySpan<float>(joined, _queries + (2 * _keys)).CopyTo(new Span<float>(row, _queries + (2 * _keys)));
        queryNorm?.Apply(row, row);
        keyNorm?.Apply(joined + _queries, row + _queries);
        rotation?.Apply(row, _queries + _keys, state.Text.Rows[item].Length - 1);
        BFloat16Rows.Narrow(row, worker.Heads.Start, _queries + (2 * _keys));
    }

    public override void Write(int item, FewRowWorker worker)
    {
        var heads = worker.Heads.Start;
        Copy(heads, state.Query.Row(item), _queries);
        var (table, length) = state.Text.Rows[item];
        if (length == 0) return;
        var (block, token) = Math.DivRem(length - 1, layout.BlockTokens);
        for (var head = 0; head < layout.Heads; head++)
        {
            var at = layout.Offset(state.Text.Tables[table + block], head) + ((long)token * layout.Head);
            Copy(heads + _queries + (head * layout.Head), (ushort*)store.Keys + at, layout.Head);
            Copy(heads + _queries + _keys + (head * layout.Head), (ushort*)store.Values + at, layout.Head);
        }
    }

    private static void Copy(ushort* from, ushort* to, int count) =>
        new ReadOnlySpan<ushort>(from, count).CopyTo(new Span<ushort>(to, count));
}

/// <summary>Prepares a row of queries of a gated block, which may be normalised head by head.</summary>
internal sealed unsafe class PictureHeadPhase(FewRowState state, BlockLayout layout, RowNorm? norm) : Phase<FewRowWorker>
{
    public override int Items => state.PictureTiles.Count == 0 ? 0 : state.Rows;

    public override void Compute(int item, FewRowWorker worker)
    {
        float* joined = state.Joined.Row(item), row = worker.Normed.Start;
        new ReadOnlySpan<float>(joined, layout.QueryWidth).CopyTo(new Span<float>(row, layout.QueryWidth));
        for (var head = 0; norm is not null && head < layout.QueryHeads; head++)
            norm.Apply(row + (head * layout.Head), row + (head * layout.Head));
        BFloat16Rows.Narrow(row, worker.Heads.Start, layout.QueryWidth);
    }

    public override void Write(int item, FewRowWorker worker) =>
        new ReadOnlySpan<ushort>(worker.Heads.Start, layout.QueryWidth).CopyTo(new Span<ushort>(state.Query.Row(item), layout.QueryWidth));
}

/// <summary>Attention of all rows, one head of one tile at a time, with the arithmetic of <see cref="PagedAttention"/>.</summary>
/// <param name="ofText">Whether rows attend to text, otherwise to pictures.</param>
internal sealed unsafe class AttentionPhase(
    FewRowState state, BlockLayout layout, (nint Keys, nint Values) store, float[]? slopes, bool ofText) : Phase<FewRowWorker>
{
    public override int Items => Tiles.Count * layout.QueryHeads;

    private List<RowTile> Tiles => ofText ? state.TextTiles : state.PictureTiles;

    public override void Prepare(FewRowWorker worker) => worker.Attention = new TileAttention<ushort>(
        layout, ofText ? state.Text : state.Pictures, slopes, (nint)state.Query.Start, state.Query.Stride, store.Keys, store.Values,
        (nint)worker.Heads.Start);

    public override void Compute(int item, FewRowWorker worker) =>
        worker.Attention!.Compute(Tiles[item / layout.QueryHeads], item % layout.QueryHeads, worker.Tile);

    public override void Write(int item, FewRowWorker worker)
    {
        var (tile, head) = (Tiles[item / layout.QueryHeads], item % layout.QueryHeads * layout.Head);
        for (var row = tile.First; row < tile.First + tile.Count; row++)
            BFloat16Rows.Widen(worker.Heads.Start + ((long)row * layout.QueryWidth) + head, state.Attended.Row(row) + head, layout.Head);
    }
}

/// <summary>Rotary positions of one row, rounded to bf16 as <see cref="Rotation"/> rounds.</summary>
/// <param name="cosines">f32 [context, half]</param>
/// <param name="sines">f32 [context, half]</param>
internal sealed unsafe class RowRotation(nint cosines, nint sines, int half, int head)
{
    /// <param name="heads">Heads, one after the other, [width]; overwritten.</param>
    public void Apply(float* heads, int width, int position)
    {
        float* cosine = (float*)cosines + ((long)Math.Max(0, position) * half), sine = (float*)sines + ((long)Math.Max(0, position) * half);
        for (var start = heads; start < heads + width; start += head)
        {
            for (var pair = 0; pair < half; pair++)
            {
                var (first, second) = (start[pair], start[pair + half]);
                start[pair] = Lanes.RoundToBFloat16((first * cosine[pair]) - (second * sine[pair]));
                start[pair + half] = Lanes.RoundToBFloat16((second * cosine[pair]) + (first * sine[pair]));
            }
        }
    }
}
