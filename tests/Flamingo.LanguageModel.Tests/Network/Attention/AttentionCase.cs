using Flamingo.Abstractions;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Tensors;
using Flamingo.Stages;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Network.Attention;

/// <summary>Pools, queries and rows of a random call. All tensors belong to the caller's scope.</summary>
/// <param name="Heads">Number of heads of keys and values; the query has the same number or a multiple.</param>
internal sealed record AttentionCase(
    int Heads, int Head, int BlockTokens, ScalarType Dtype, Tensor Keys, Tensor Values, Tensor Query, AttentionRows Rows, float[]? Slopes)
{
    public static readonly ScalarType[] Dtypes = [ScalarType.Float32, ScalarType.BFloat16];

    public int QueryHeads => (int)Query.shape[1] / Head;

    /// <summary>
    /// Creates a call with several sequences, each with one row, a prefill chunk or rows of equal length, over shuffled blocks,
    /// with or without grouped heads, and with padding rows between. The query is a part of a joined projection.
    /// </summary>
    public static AttentionCase Random(int seed, ScalarType dtype, int longest = 200)
    {
        var random = new Random(seed);
        int heads =
            random.Next(1, 5), head = Pick(1, 12, 16, 32, 64, 80, 128), blockTokens = Pick(1, 3, 16, 16, 64), group = Pick(1, 1, 2, 3);
        var rows = new List<AttentionRow>();
        var tables = new List<int>();
        for (var sequence = random.Next(1, 6); sequence > 0; sequence--)
        {
            // often at a block boundary
            var length = random.Next(3) == 0 ? Math.Min(longest, blockTokens * random.Next(1, 4)) : random.Next(1, longest + 1);
            var chunk = Math.Min(length, Pick(1, 1, 3, 40));
            // otherwise all rows have the same length, as in cross-attention
            var rising = random.Next(4) > 0;
            rows.AddRange(Enumerable.Range(1, chunk).Select(row => new AttentionRow(tables.Count, rising ? length - chunk + row : length)));
            tables.AddRange(Enumerable.Repeat(0, (length + blockTokens - 1) / blockTokens));
            if (random.Next(2) == 0) rows.Add(default);
        }

        var blocks = Enumerable.Range(0, tables.Count + 3).ToArray();
        random.Shuffle(blocks);
        var pool = new long[] { blocks.Length, heads, blockTokens, head };
        var query = Normal(random, rows.Count, 3 * heads * group * head).to(dtype).chunk(3, -1)[random.Next(3)];
        var slopes = random.Next(2) == 0
            ? null
            : Enumerable.Range(1, heads * group).Select(h => MathF.Pow(2, -8f * h / (heads * group))).ToArray();
        return new(
            heads, head, blockTokens, dtype, Normal(random, pool).to(dtype), Normal(random, pool).to(dtype), query,
            new([.. blocks.Take(tables.Count)], [.. rows]), slopes);

        int Pick(params int[] choices) => choices[random.Next(choices.Length)];
    }

    public Tensor Forward(IBlockAttention attention) => attention.Forward(Query, Keys, Values, Rows, Slopes);

    /// <summary>Returns the same call with only these rows.</summary>
    public AttentionCase Only(params int[] rows) =>
        this with
        {
            Query = Query.index_select(
                0, tensor(rows.Select(row => (long)row).ToArray())), Rows = Rows with { Rows = [.. rows.Select(row => Rows.Rows[row])] }
        };

    public static Tensor Normal(Random random, params long[] shape)
    {
        var values = new float[shape.Aggregate(1L, (product, length) => product * length)];
        for (var index = 0; index < values.Length; index++)
            values[index] = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        return tensor(values, shape);
    }

    /// <summary>Whether two tensors are equal bit for bit.</summary>
    public static bool Same(Tensor one, Tensor other) =>
        one.dtype == other.dtype
            && one.shape.AsSpan().SequenceEqual(other.shape)
            && one.contiguous().bytes.SequenceEqual(other.contiguous().bytes);

    public static float[] Floats(Tensor tensor) => tensor.ToData(TensorDtype.Float32).ToFloats();
}
