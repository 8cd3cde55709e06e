using System.Numerics;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Tensors;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>
/// Block attention for GPUs, where launching a kernel often costs more than running it. Sequences of similar numbers of rows and
/// keys are gathered and computed in one call of torch's fused attention, in the dtype of the pools. Block numbers and positions
/// are uploaded once per step (<see cref="Prepare"/>) and ALiBi slopes once per instance; nothing is read back. Shorter sequences
/// of a call are padded with keys of their own that get no weight, so the other rows of a call can change at most the last bits
/// of a row's result.
/// </summary>
public sealed class BatchedAttention(DeviceTransfer transfer) : IBlockAttention, IDisposable
{
    // Sequences with fewer blocks than this are padded to the longest of them, because reading their keys costs little compared
    // to reading the weights.
    private const int FewBlocks = 64;

    private readonly PlainAttention _plain = new();

    // The slopes of a model never change, so the last uploaded slopes are kept on the device.
    private float[]? _slopesOfHost;
    private Tensor? _slopes; // [1, query heads, 1, 1]

    public bool ReadsWholeBlocks => true;

    public AttentionRows Prepare(AttentionRows rows, Tensor pool, int group, float[]? slopes, bool appends)
    {
        var layout = BlockLayout.Check([pool], [], rows, group);
        layout.CheckSlopes(slopes);
        return Prepared(rows, pool, layout, slopes, appends);
    }

    private PreparedRows Prepared(AttentionRows rows, Tensor pool, BlockLayout layout, float[]? slopes, bool appends)
    {
        var plan = new Plan(rows, layout, appends);
        var numbers = transfer.Upload(plan.Numbers);
        var heads = Scalars.Range(layout.QueryHeads, ScalarType.Int64, pool.device).floor_divide(Scalars.Of(layout.Group));
        var slope = slopes is null ? null : OnDevice(slopes);
        return new PreparedRows(
            rows.Tables, rows.Rows, layout, appends,
            plan.Appended.Count == 0 || plan.Appended.Count == rows.Rows.Length ? null : plan.Appended.Of(numbers),
            plan.Appended.Count == 0 ? null : Places(plan.Places.Of(numbers), layout, pool.device),
            [.. plan.Batches.Select(batch => batch.On(numbers, heads, slope, layout, pool.dtype, rows.Rows.Length))]);
    }

    private Tensor OnDevice(float[] slopes)
    {
        if (ReferenceEquals(slopes, _slopesOfHost)) return _slopes!;
        _slopes?.Dispose();
        using var scope = NewDisposeScope();
        _slopes = transfer.Upload(tensor(slopes, device: CPU)).view(1, -1, 1, 1).DetachFromDisposeScope();
        _slopesOfHost = slopes;
        return _slopes;
    }

    public void Append(Tensor keys, Tensor values, Tensor newKeys, Tensor newValues, AttentionRows rows)
    {
        using var scope = NewDisposeScope();
        var prepared = rows as PreparedRows
            ?? Prepared(rows, keys, BlockLayout.Check([keys, values], [newKeys, newValues], rows), slopes: null, appends: true);
        if (!prepared.Appends) throw new ArgumentException("These rows were prepared for reading only.");
        if (prepared.Places is null) return;
        foreach (var (pool, added) in new[] { (keys, newKeys), (values, newValues) })
        {
            var written = prepared.Appended is null ? added : added.index_select(0, prepared.Appended);
            pool.view(-1, prepared.Layout.Head).index_copy_(0, prepared.Places, written.reshape(-1, prepared.Layout.Head));
        }
    }

    public Tensor Forward(Tensor query, Tensor keys, Tensor values, AttentionRows rows, float[]? slopes)
    {
        using var scope = NewDisposeScope();
        var prepared = rows as PreparedRows
            ?? Prepared(rows, keys, BlockLayout.CheckQuery([keys, values], query, rows, slopes), slopes, appends: false);
        var layout = prepared.Layout;
        if (query.shape[0] != rows.Rows.Length || query.shape[1] != layout.QueryWidth)
            throw new ArgumentException(
                $"[{string.Join(", ", query.shape)}] is not [{rows.Rows.Length} rows, {layout.QueryHeads} × {layout.Head}].");
        if (prepared.Batches is [{ IsWhole: true } only]) return Attend(only, query, keys, values, layout).MoveToOuterDisposeScope();
        var output = zeros(query.shape, query.dtype, query.device);
        foreach (var batch in prepared.Batches)
        {
            using var part = NewDisposeScope();
            var mixed = Attend(batch, query, keys, values, layout);
            output.index_copy_(0, batch.Targets!, batch.Valid is null ? mixed : mixed.index_select(0, batch.Valid));
        }

        return output.MoveToOuterDisposeScope();
    }

    public float[] Weights(Tensor query, Tensor keys, AttentionRows rows, int row, float[]? slopes) =>
        _plain.Weights(query, keys, rows, row, slopes);

    public void Dispose() => _slopes?.Dispose();

    // [sequences × rows, query heads × head]
    private static Tensor Attend(Batch batch, Tensor query, Tensor keys, Tensor values, BlockLayout layout)
    {
        var rows = batch.Queries is null ? query : query.index_select(0, batch.Queries);
        // [sequences, query heads, rows, head]
        var q = rows.reshape(batch.Sequences, batch.Rows, layout.QueryHeads, layout.Head).transpose(1, 2);
        var mixed = F.scaled_dot_product_attention(q, Gather(keys), Gather(values), attn_mask: batch.Bias);
        return mixed.transpose(1, 2).reshape(batch.Sequences * batch.Rows, layout.QueryWidth);

        // [sequences, query heads, keys, head]
        Tensor Gather(Tensor pool) =>
            pool.view(-1, layout.BlockTokens * layout.Head).index_select(0, batch.Blocks)
                .view(batch.Sequences, layout.QueryHeads, -1, layout.Head);
    }

    // The index of each appended row and head among all tokens of all heads of all blocks: [rows × heads].
    private static Tensor Places(Tensor places, BlockLayout layout, Device device) =>
        places.unsqueeze(1).Plus(Scalars.Range(layout.Heads, ScalarType.Int64, device).mul(Scalars.Of(layout.BlockTokens))).flatten();

    /// <summary>A range of the numbers that a step uploads.</summary>
    private readonly record struct Part(int First, int Count)
    {
        public Tensor Of(Tensor numbers) => numbers.slice(0, First, First + Count, 1);
    }

    /// <summary>The rows given to <see cref="Prepare"/>, with the tensors that it created for them on the device.</summary>
    /// <param name="Appends">Whether keys and values may be appended with these rows.</param>
    /// <param name="Appended">Indices of the rows whose keys and values are written; null for all rows.</param>
    /// <param name="Places">Indices in the pool at which they are written; null if there are none.</param>
    private sealed record PreparedRows(
        int[] Tables, AttentionRow[] Rows, BlockLayout Layout, bool Appends, Tensor? Appended, Tensor? Places, Batch[] Batches)
        : AttentionRows(Tables, Rows);

    /// <summary>Sequences whose attention is computed in one call, as tensors on the device.</summary>
    /// <param name="Queries">For each sequence and row of the call, the row of the query; null if these are all rows in their
    /// order.</param>
    /// <param name="Blocks">For each sequence, query head and block, the index of the block among all heads of all blocks.</param>
    /// <param name="Bias">Bias that is added to the scores, [sequences, query heads or 1, rows, keys]; null for none.</param>
    /// <param name="Valid">Indices of the results that are used; null for all.</param>
    /// <param name="Targets">The rows of the output into which these results are written; null if these are all rows in their
    /// order.</param>
    private sealed record Batch(int Sequences, int Rows, Tensor? Queries, Tensor Blocks, Tensor? Bias, Tensor? Valid, Tensor? Targets)
    {
        public bool IsWhole => Targets is null;
    }

    /// <summary>A batch whose numbers are still in host memory.</summary>
    private sealed record PlannedBatch(
        int Sequences, int Rows, int BlocksEach, bool IsFull, Part Queries, Part Tables, Part Lengths, Part Valid, Part Targets)
    {
        public Batch On(Tensor numbers, Tensor heads, Tensor? slopes, BlockLayout layout, ScalarType dtype, int allRows)
        {
            var tables = Tables.Of(numbers).view(Sequences, 1, BlocksEach);
            var blocks = tables.mul(Scalars.Of(layout.Heads)).Plus(heads.view(1, -1, 1)).flatten(); // [sequences × query heads × blocks]
            var isWhole = Targets.Count == allRows && Valid.Count == 0;
            return new Batch(
                Sequences, Rows,
                isWhole ? null : Queries.Of(numbers),
                blocks,
                IsFull && slopes is null ? null : Bias(numbers, slopes, layout, dtype),
                Valid.Count == 0 ? null : Valid.Of(numbers),
                isWhole ? null : Targets.Of(numbers));
        }

        // A position after the row's own gets −∞. Any other position j gets slope × (j − (length − 1)).
        private Tensor Bias(Tensor numbers, Tensor? slopes, BlockLayout layout, ScalarType dtype)
        {
            var distance = Scalars.Range(BlocksEach * layout.BlockTokens, ScalarType.Int64, numbers.device).view(1, 1, 1, -1)
                - Lengths.Of(numbers).view(Sequences, 1, Rows, 1).sub(Scalars.One);
            var bias = slopes is null
                ? zeros(distance.shape, ScalarType.Float32, numbers.device)
                : distance.to(ScalarType.Float32) * slopes;
            var hidden = distance.gt(Scalars.Of(0));
            return bias.masked_fill(hidden, Scalars.Of(double.NegativeInfinity)).to(dtype).expand(Sequences, layout.QueryHeads, Rows, -1);
        }
    }

    /// <summary>Decides which rows are computed together, and collects the numbers to upload in one list.</summary>
    private sealed class Plan
    {
        private readonly List<long> _numbers = [];

        public Plan(AttentionRows rows, BlockLayout layout, bool appends)
        {
            int[] appended = !appends ? [] : [.. Enumerable.Range(0, rows.Rows.Length).Where(row => rows.Rows[row].Length > 0)];
            Appended = Add(appended.Select(row => (long)row));
            Places = Add(appended.Select(row => rows.Rows[row]).Select(row =>
                (long)rows.Tables[row.Table + (row.Length - 1) / layout.BlockTokens] * layout.Heads * layout.BlockTokens
                + (row.Length - 1) % layout.BlockTokens));
            var kinds = RowTile.Split(rows.Rows, int.MaxValue)
                .GroupBy(tile => (
                    BitOperations.RoundUpToPowerOf2((uint)tile.Count),
                    Math.Max(FewBlocks, BitOperations.RoundUpToPowerOf2((uint)layout.BlocksFor(tile.Longest)))));
            Batches = [.. kinds.Select(kind => Batch([.. kind], rows, layout))];
        }

        public Part Appended { get; }

        public Part Places { get; }

        public IReadOnlyList<PlannedBatch> Batches { get; }

        public ReadOnlySpan<long> Numbers => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_numbers);

        private PlannedBatch Batch(RowTile[] tiles, AttentionRows rows, BlockLayout layout)
        {
            var (most, blocks) = (tiles.Max(tile => tile.Count), layout.BlocksFor(tiles.Max(tile => tile.Longest)));
            var (queries, tables, lengths) = (new List<long>(), new List<long>(), new List<long>());
            var (valid, targets) = (new List<long>(), new List<long>());
            foreach (var (sequence, tile) in tiles.Index())
            {
                var table = rows.Tables.AsSpan(rows.Rows[tile.First].Table, layout.BlocksFor(tile.Longest));
                // A shorter sequence is padded with its own first block, whose keys get no weight there.
                for (var block = 0; block < blocks; block++) tables.Add(table[block < table.Length ? block : 0]);
                for (var row = 0; row < most; row++)
                {
                    // A sequence with fewer rows is padded with its own first row, whose result is not used.
                    var own = tile.First + (row < tile.Count ? row : 0);
                    queries.Add(own);
                    lengths.Add(rows.Rows[own].Length);
                    if (row < tile.Count)
                    {
                        valid.Add(sequence * most + row);
                        targets.Add(own);
                    }
                }
            }

            var isFull = lengths.TrueForAll(length => length == blocks * layout.BlockTokens);
            return new PlannedBatch(
                tiles.Length, most, blocks, isFull,
                Add(queries), Add(tables), Add(lengths),
                valid.Count == queries.Count ? default : Add(valid), Add(targets));
        }

        private Part Add(IEnumerable<long> numbers)
        {
            var first = _numbers.Count;
            _numbers.AddRange(numbers);
            return new Part(first, _numbers.Count - first);
        }
    }
}
