using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>
/// Sizes of a pool [blocks, heads, blockTokens, head]. A layout exists only after all arguments of a call have been checked, so
/// code that receives one may use pointers.
/// </summary>
/// <param name="Group">Query heads that share one head of keys and values (Ainslie et al. 2023, grouped-query attention).</param>
internal readonly record struct BlockLayout(long Blocks, int Heads, int BlockTokens, int Head, int Group = 1)
{
    public int QueryHeads => Heads * Group;

    public int QueryWidth => QueryHeads * Head;

    /// <summary>Number of elements from the start of the pool to a head's first token in a block.</summary>
    public long Offset(int block, int head) => ((long)block * Heads + head) * BlockTokens * Head;

    public int BlocksFor(int length) => (length + BlockTokens - 1) / BlockTokens;

    /// <summary>The sizes of a pool [blocks, heads, blockTokens, head].</summary>
    public static BlockLayout Of(Tensor pool, int group) =>
        new(pool.shape[0], (int)pool.shape[1], (int)pool.shape[2], (int)pool.shape[3], group);

    /// <summary>Checks the pools and a query [rows, query heads × head] that reads them.</summary>
    public static BlockLayout CheckQuery(Tensor[] pools, Tensor query, AttentionRows rows, float[]? slopes)
    {
        var width = pools[0].dim() == 4 ? pools[0].shape[1] * pools[0].shape[3] : 0;
        var group = query.dim() == 2 && width > 0 && query.shape[1] % width == 0 ? (int)(query.shape[1] / width) : 1;
        var layout = Check(pools, [query], rows, group);
        layout.CheckSlopes(slopes);
        return layout;
    }

    /// <summary>Checks that there is one slope for each query head, or no slopes.</summary>
    public void CheckSlopes(float[]? slopes)
    {
        if (slopes is not null && slopes.Length != QueryHeads)
            throw new ArgumentException($"{slopes.Length} slopes for {QueryHeads} heads.");
    }

    /// <summary>Checks pools, row tensors, rows and block tables of a call.</summary>
    /// <param name="rowTensors">Tensors of [rows, heads × group × head] each.</param>
    public static BlockLayout Check(Tensor[] pools, Tensor[] rowTensors, AttentionRows rows, int group = 1)
    {
        var shape = pools[0].shape;
        if (shape.Length != 4)
            throw new ArgumentException($"A pool is [blocks, heads, blockTokens, head], not [{string.Join(", ", shape)}].");
        var layout = new BlockLayout(shape[0], (int)shape[1], (int)shape[2], (int)shape[3], Math.Max(1, group));
        foreach (var pool in pools)
        {
            if (!pool.shape.AsSpan().SequenceEqual(shape))
                throw new ArgumentException(
                    $"Pools of keys and values differ: [{string.Join(", ", shape)}] and [{string.Join(", ", pool.shape)}].");
            if (!pool.is_contiguous()) throw new ArgumentException("A pool must be contiguous.");
        }

        foreach (var tensor in rowTensors)
        {
            if (tensor.shape is not [var count, var width] || count != rows.Rows.Length || width != layout.QueryWidth)
                throw new ArgumentException(
                    $"[{string.Join(", ", tensor.shape)}] is not [{rows.Rows.Length} rows, {layout.QueryHeads} × {layout.Head}].");
            if (width > 1 && tensor.stride(1) != 1) throw new ArgumentException("The last dimension must be contiguous.");
        }

        foreach (var tensor in pools.Concat(rowTensors))
        {
            if (tensor.dtype != pools[0].dtype || tensor.device_type != pools[0].device_type)
                throw new ArgumentException(
                    $"{tensor.dtype} on {tensor.device} does not fit a pool of {pools[0].dtype} on {pools[0].device}.");
        }

        layout.Check(rows);
        return layout;
    }

    /// <summary>Checks that all rows read blocks that exist.</summary>
    public void Check(AttentionRows rows)
    {
        foreach (var row in rows.Rows) Check(row, rows.Tables);
    }

    private void Check(AttentionRow row, int[] tables)
    {
        if (row.Length == 0) return;
        if (row.Length < 0 || row.Table < 0 || row.Table > tables.Length - BlocksFor(row.Length))
            throw new ArgumentException($"{row} reaches beyond the {tables.Length} entries of the block tables.");
        foreach (var block in tables.AsSpan(row.Table, BlocksFor(row.Length)))
        {
            if ((ulong)block >= (ulong)Blocks) throw new ArgumentException($"Block {block} does not exist in a pool of {Blocks} blocks.");
        }
    }
}
