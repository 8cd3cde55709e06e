using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>Sizes of a pool, [blocks, heads, blockTokens, head], once everything about a call has been checked: what follows may use pointers.</summary>
internal readonly record struct BlockLayout(long Blocks, int Heads, int BlockTokens, int Head)
{
    public int Width => Heads * Head;

    /// <summary>Elements from the pool's start to a head's first token in a block.</summary>
    public long Offset(int block, int head) => ((long)block * Heads + head) * BlockTokens * Head;

    public int BlocksFor(int length) => (length + BlockTokens - 1) / BlockTokens;

    /// <param name="rowTensors">[rows, heads × head] each.</param>
    public static BlockLayout Check(Tensor[] pools, Tensor[] rowTensors, AttentionRows rows, float[]? slopes = null)
    {
        var shape = pools[0].shape;
        if (shape.Length != 4) throw new ArgumentException($"A pool is [blocks, heads, blockTokens, head], not [{string.Join(", ", shape)}].");
        var layout = new BlockLayout(shape[0], (int)shape[1], (int)shape[2], (int)shape[3]);
        foreach (var pool in pools)
        {
            if (!pool.shape.AsSpan().SequenceEqual(shape)) throw new ArgumentException($"Pools of keys and values differ: [{string.Join(", ", shape)}] and [{string.Join(", ", pool.shape)}].");
            if (!pool.is_contiguous()) throw new ArgumentException("A pool must be contiguous.");
        }

        foreach (var tensor in rowTensors)
        {
            if (tensor.shape is not [var count, var width] || count != rows.Rows.Length || width != layout.Width) throw new ArgumentException($"[{string.Join(", ", tensor.shape)}] is not [{rows.Rows.Length} rows, {layout.Heads} × {layout.Head}].");
            if (width > 1 && tensor.stride(1) != 1) throw new ArgumentException("The last dimension must be contiguous.");
        }

        foreach (var tensor in pools.Concat(rowTensors))
        {
            if (tensor.dtype != pools[0].dtype || tensor.device_type != pools[0].device_type) throw new ArgumentException($"{tensor.dtype} on {tensor.device} does not fit a pool of {pools[0].dtype} on {pools[0].device}.");
        }

        if (slopes is not null && slopes.Length != layout.Heads) throw new ArgumentException($"{slopes.Length} slopes for {layout.Heads} heads.");
        foreach (var row in rows.Rows) layout.Check(row, rows.Tables);
        return layout;
    }

    private void Check(AttentionRow row, int[] tables)
    {
        if (row.Length == 0) return;
        if (row.Length < 0 || row.Table < 0 || row.Table > tables.Length - BlocksFor(row.Length)) throw new ArgumentException($"{row} reaches beyond the {tables.Length} entries of the block tables.");
        foreach (var block in tables.AsSpan(row.Table, BlocksFor(row.Length)))
        {
            if ((ulong)block >= (ulong)Blocks) throw new ArgumentException($"Block {block} of a pool of {Blocks}.");
        }
    }
}
