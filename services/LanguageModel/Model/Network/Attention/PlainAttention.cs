using Flamingo.Modeling.Tensors;

using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>
/// Reference implementation of block attention with torch operations, on any device: it gathers the blocks of each sequence and
/// computes in f32. Tests compare <see cref="PagedAttention"/> with it. Its rounding depends on the number of rows of a call.
/// </summary>
public sealed class PlainAttention : IBlockAttention
{
    public void Append(Tensor keys, Tensor values, Tensor newKeys, Tensor newValues, AttentionRows rows)
    {
        var layout = BlockLayout.Check([keys, values], [newKeys, newValues], rows);
        var written = Enumerable.Range(0, rows.Rows.Length).Where(row => rows.Rows[row].Length > 0).ToArray();
        if (written.Length == 0) return;
        using var scope = NewDisposeScope();
        var source = Index(written.Select(row => (long)row), keys);
        var blocks =
            Index(written.Select(row => (long)rows.Tables[rows.Rows[row].Table + (rows.Rows[row].Length - 1) / layout.BlockTokens]), keys);
        var tokens = Index(written.Select(row => (long)(rows.Rows[row].Length - 1) % layout.BlockTokens), keys);
        foreach (var (pool, rowTensor) in new[] { (keys, newKeys), (values, newValues) })
        {
            var bytoken = pool.transpose(1, 2);                                                // a view, [blocks, blockTokens, heads, head]
            bytoken.index_put_(rowTensor.index_select(0, source).unflatten(1, [layout.Heads, layout.Head]), blocks, tokens);
        }
    }

    public Tensor Forward(Tensor query, Tensor keys, Tensor values, AttentionRows rows, float[]? slopes)
    {
        var layout = BlockLayout.CheckQuery([keys, values], query, rows, slopes);
        using var scope = NewDisposeScope();
        var output = zeros(query.shape, query.dtype, query.device);
        foreach (var tile in RowTile.Split(rows.Rows, int.MaxValue))
        {
            var q = Heads(query.slice(0, tile.First, tile.First + tile.Count, 1), layout);     // [query heads, rows, head]
            var k = Gather(keys, layout, rows, tile);                                          // [query heads, longest, head]
            var mixed = F.scaled_dot_product_attention(q, k, Gather(values, layout, rows, tile), attn_mask: Bias(rows, tile, slopes, q));
            output.slice(0, tile.First, tile.First + tile.Count, 1).copy_(mixed.transpose(0, 1).flatten(1));
        }

        return output.MoveToOuterDisposeScope();
    }

    public float[] Weights(Tensor query, Tensor keys, AttentionRows rows, int row, float[]? slopes)
    {
        var layout = BlockLayout.CheckQuery([keys], query, rows, slopes);
        if (rows.Rows[row].Length == 0) return [];
        using var scope = NewDisposeScope();
        var tile = new RowTile(row, 1, rows.Rows[row].Length);
        var q = Heads(query.slice(0, row, row + 1, 1), layout);
        var products = q.matmul(Gather(keys, layout, rows, tile).transpose(1, 2)).div(Scalars.Of(Math.Sqrt(layout.Head)));
        var scores = products.Plus(Bias(rows, tile, slopes, q));
        return scores.softmax(-1).cpu().data<float>().ToArray();
    }

    // −∞ for keys that a row does not attend to, slope × (j − (length − 1)) for the others
    private static Tensor Bias(AttentionRows rows, RowTile tile, float[]? slopes, Tensor q)
    {
        var lengths = rows.Rows.Skip(tile.First).Take(tile.Count).Select(row => (float)row.Length).ToArray();
        var last = tensor(lengths, device: q.device).unsqueeze(1).sub(Scalars.One);
        var distance = Scalars.Range(tile.Longest, ScalarType.Float32, q.device).unsqueeze(0) - last;          // [rows, longest]
        var bias = tensor(slopes ?? [0], device: q.device).view(-1, 1, 1) * distance;              // [heads or 1, rows, longest]
        return bias.masked_fill(distance.gt(Scalars.Of(0)), Scalars.Of(double.NegativeInfinity));
    }

    private static Tensor Gather(Tensor pool, BlockLayout layout, AttentionRows rows, RowTile tile)
    {
        var blocks = rows.Tables.AsSpan(rows.Rows[tile.First].Table, layout.BlocksFor(tile.Longest)).ToArray();
        var gathered = pool.index_select(0, Index(blocks.Select(block => (long)block), pool)); // [blocks, heads, blockTokens, head]
        return gathered.transpose(0, 1)
            .flatten(1, 2)
            .slice(1, 0, tile.Longest, 1)
            .to(ScalarType.Float32)
            .repeat_interleave(layout.Group, 0);
    }

    private static Tensor Heads(Tensor rows, BlockLayout layout) =>
        rows.unflatten(1, [layout.QueryHeads, layout.Head]).transpose(0, 1).to(ScalarType.Float32);

    private static Tensor Index(IEnumerable<long> values, Tensor like) => tensor(values.ToArray(), device: like.device);
}
