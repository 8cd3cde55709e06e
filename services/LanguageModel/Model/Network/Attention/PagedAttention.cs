using Flamingo.Modeling.Kernels;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>
/// Block attention on the CPU that reads the blocks in place: f32 or bf16 storage, f32 arithmetic, the output rounded once. The
/// result of a row depends bit for bit only on its query and on the keys and values that it attends to, in their order. It never
/// depends on the other rows of the call, on chunking, block numbers or threads. This class exists because torch's
/// scaled_dot_product_attention on the CPU rounds differently for different numbers of rows, and takes 3 ms for one bf16 row (16
/// heads × 128, 700 keys) where this class takes a few tenths of a millisecond. Only the inference thread may use it.
/// </summary>
public sealed unsafe class PagedAttention : IBlockAttention
{
    // A tile reads each block once for all of its rows, and converts it to f32 if needed.
    private const int TileRows = 16;

    // below this number of multiplications, waking another thread costs more than it saves
    private const long ParallelWork = 500_000;

    private readonly PlainAttention _plain = new();
    private readonly ComputeTeam _team;
    private readonly TileScratch[] _scratch;

    /// <param name="team">Threads that compute tiles. This class does not dispose them.</param>
    public PagedAttention(ComputeTeam team)
    {
        _team = team;
        _scratch = [.. Enumerable.Range(0, team.Threads).Select(_ => new TileScratch())];
    }

    public void Append(Tensor keys, Tensor values, Tensor newKeys, Tensor newValues, AttentionRows rows)
    {
        var layout = BlockLayout.Check([keys, values], [newKeys, newValues], rows);
        if (rows.Rows.Length == 0) return;
        foreach (var (pool, source) in new[] { (keys, newKeys), (values, newValues) })
        {
            using TensorMemory target = new(pool), added = new(source);
            var bytes = layout.Head * target.ElementSize;
            for (var row = 0; row < rows.Rows.Length; row++)
            {
                var (table, length) = rows.Rows[row];
                if (length == 0) continue;
                var (block, token) = Math.DivRem(length - 1, layout.BlockTokens);
                for (var head = 0; head < layout.Heads; head++)
                {
                    var at = layout.Offset(rows.Tables[table + block], head) + token * layout.Head;
                    Buffer.MemoryCopy(added.At(row * added.Stride + head * layout.Head), target.At(at), bytes, bytes);
                }
            }
        }
    }

    public Tensor Forward(Tensor query, Tensor keys, Tensor values, AttentionRows rows, float[]? slopes)
    {
        var layout = BlockLayout.CheckQuery([keys, values], query, rows, slopes);
        var output = zeros(query.shape, query.dtype, query.device);
        var tiles = RowTile.Split(rows.Rows, TileRows);
        if (tiles.Count == 0) return output;
        using TensorMemory q = new(query), k = new(keys), v = new(values), o = new(output);
        switch (query.dtype)
        {
            case ScalarType.Float32: Run(new TileAttention<float>(layout, rows, slopes, q, k, v, o)); break;
            case ScalarType.BFloat16: Run(new TileAttention<ushort>(layout, rows, slopes, q, k, v, o)); break;
            default: throw new ArgumentException($"Attention in place takes Float32 or BFloat16, not {query.dtype}.");
        }

        return output;

        void Run<T>(TileAttention<T> attention) where T : unmanaged
        {
            var work = 2 * layout.QueryWidth * tiles.Sum(tile => (long)tile.Count * tile.Longest);
            var threads = work < ParallelWork ? 1 : _scratch.Length;
            _team.Run(
                tiles.Count * layout.QueryHeads, threads,
                (item, worker) => attention.Compute(tiles[item / layout.QueryHeads], item % layout.QueryHeads, _scratch[worker]));
        }
    }

    public float[] Weights(Tensor query, Tensor keys, AttentionRows rows, int row, float[]? slopes) =>
        _plain.Weights(query, keys, rows, row, slopes);
}
