using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Kernels;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Network.Attention;

/// <summary>The result of a row depends bit for bit only on its own query and on the keys and values that it attends to.</summary>
public sealed class RowIndependenceTests(Models models)
{
    private readonly PagedAttention _one = new(ComputeTeam.Alone), _two = new(models.Thread.Team);

    public static TheoryData<ScalarType> Dtypes => [.. AttentionCase.Dtypes];

    [Theory(Timeout = 120_000), MemberData(nameof(Dtypes))]
    public Task Alone_and_in_a_larger_batch(ScalarType dtype) => Each(25, dtype, TestContext.Current.CancellationToken, (call, batch) =>
    {
        for (var row = 0; row < call.Rows.Rows.Length; row++) AssertSame(batch[row], call.Only(row).Forward(_one)[0]);
    });

    [Theory(Timeout = 120_000), MemberData(nameof(Dtypes))]
    public Task In_any_order(ScalarType dtype) => Each(25, dtype, TestContext.Current.CancellationToken, (call, batch) =>
    {
        var order = Enumerable.Range(0, call.Rows.Rows.Length).ToArray();
        new Random(order.Length).Shuffle(order);
        AssertSame(batch.index_select(0, tensor(order.Select(row => (long)row).ToArray())), call.Only(order).Forward(_one));
    });

    [Theory(Timeout = 120_000), MemberData(nameof(Dtypes))]
    public Task In_chunks_of_any_size(ScalarType dtype) => Each(8, dtype, TestContext.Current.CancellationToken, (call, batch) =>
    {
        var rows = call.Rows.Rows.Length;
        for (var size = 1; size <= Math.Min(rows, 40); size += size < 20 ? 1 : 7)
        {
            var chunks = Enumerable.Range(0, rows).Chunk(size).Select(chunk => call.Only(chunk).Forward(_one)).ToArray();
            AssertSame(batch, cat(chunks, 0));
        }
    });

    [Theory(Timeout = 120_000), MemberData(nameof(Dtypes))]
    public Task On_one_thread_and_on_two(ScalarType dtype) => models.Thread.RunAsync(() =>
    {
        // large enough that helper threads take part, many times
        var random = new Random(1);
        var pool = () => AttentionCase.Normal(random, 13, 8, 16, 64).to(dtype);
        var rows =
            new AttentionRows([.. Enumerable.Range(0, 13)], [.. Enumerable.Range(169, 40).Select(length => new AttentionRow(0, length))]);
        var call = new AttentionCase(8, 64, 16, dtype, pool(), pool(), AttentionCase.Normal(random, 40, 8 * 64).to(dtype), rows, null);
        var expected = call.Forward(_one);
        for (var round = 0; round < 30; round++) AssertSame(expected, call.Forward(_two));
        return true;
    }, TestContext.Current.CancellationToken);

    [Theory(Timeout = 120_000), MemberData(nameof(Dtypes))]
    public Task In_any_blocks(ScalarType dtype) => Each(25, dtype, TestContext.Current.CancellationToken, (call, batch) =>
    {
        var blocks = (int)call.Keys.shape[0];
        var to = Enumerable.Range(0, blocks).ToArray();
        new Random(blocks).Shuffle(to);
        var from = tensor(Enumerable.Range(0, blocks).OrderBy(block => to[block]).Select(block => (long)block).ToArray());
        var moved = call with
        {
            Keys = call.Keys.index_select(0, from), Values = call.Values
                .index_select(0, from), Rows = call.Rows with { Tables = [.. call.Rows.Tables.Select(block => to[block])] }
        };
        AssertSame(batch, moved.Forward(_two));
    });

    [Theory(Timeout = 120_000), MemberData(nameof(Dtypes))]
    public Task Whatever_keys_follow_those_that_a_row_sees(ScalarType dtype) =>
        Each(25, dtype, TestContext.Current.CancellationToken, (call, _) =>
    {
        var row = Array.FindIndex(call.Rows.Rows, row => row.Length > 0);
        var (table, length) = call.Rows.Rows[row];
        var alone = call.Only(row);
        var expected = alone.Forward(_two);
        var seen = call.Rows.Tables.AsSpan(table, (length + call.BlockTokens - 1) / call.BlockTokens);
        foreach (var pool in new[] { call.Keys, call.Values })
        {
            for (var block = 0; block < pool.shape[0]; block++)
            {
                var held = seen.IndexOf(block) is var at && at < 0 ? 0 : Math.Min(call.BlockTokens, length - at * call.BlockTokens);
                pool[block].slice(1, held, call.BlockTokens, 1).fill_(float.NaN);
            }
        }

        AssertSame(expected, alone.Forward(_two));
        if (length > 1)
        {
            // an adjacent row that attends to more keys, including NaN, shares the tile
            var other = alone with
            {
                Query = cat([alone.Query, alone.Query]), Rows = call.Rows with
                {
                    Rows = [call.Rows.Rows[row] with { Length = length - 1 }, call.Rows.Rows[row]]
                }
            };
            var shorter = alone with { Rows = call.Rows with { Rows = [call.Rows.Rows[row] with { Length = length - 1 }] } };
            var clean = shorter.Forward(_two);
            var (block, token) = Math.DivRem(length - 1, call.BlockTokens);
            foreach (var pool in new[] { call.Keys, call.Values }) pool[call.Rows.Tables[table + block]].select(1, token).fill_(float.NaN);
            AssertSame(clean[0], other.Forward(_two)[0]);
        }
    });

    private static void AssertSame(Tensor expected, Tensor actual)
    {
        Assert.True(expected.isfinite().all().item<bool>());
        Assert.True(AttentionCase.Same(expected, actual));
    }

    private Task Each(int count, ScalarType dtype, CancellationToken cancellation, Action<AttentionCase, Tensor> check) =>
        models.Thread.RunAsync(() =>
    {
        for (var seed = 100; seed < 100 + count; seed++)
        {
            using var scope = NewDisposeScope();
            var call = AttentionCase.Random(seed, dtype);
            check(call, call.Forward(_two));
        }

        return count;
    }, cancellation);
}
