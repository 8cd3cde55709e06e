using Flamingo.LanguageModel.Network.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Network.Attention;

public sealed class PagedAttentionTests(Models models)
{
    private readonly PagedAttention _paged = new(models.Thread.Team);
    private readonly PlainAttention _plain = new();

    public static TheoryData<ScalarType> Dtypes => [.. AttentionCase.Dtypes];

    [Theory(Timeout = 120_000), MemberData(nameof(Dtypes))]
    public Task Paged_equals_plain_attention(ScalarType dtype) => Each(60, dtype, TestContext.Current.CancellationToken, (seed, call) =>
    {
        var (output, expected) = (call.Forward(_paged), call.Forward(_plain));
        Assert.Equal((expected.dtype, true), (output.dtype, output.is_contiguous()));
        Assert.Equal(expected.shape, output.shape);
        AssertClose(
            AttentionCase.Floats(expected), AttentionCase.Floats(output), dtype,
            $"seed {seed}: {call.Heads} × {call.Head}, blocks of {call.BlockTokens}");
    });

    [Theory(Timeout = 60_000), MemberData(nameof(Dtypes))]
    public Task Rows_that_see_nothing_get_zeros(ScalarType dtype) => Each(20, dtype, TestContext.Current.CancellationToken, (_, call) =>
    {
        var padded = call with
        {
            Rows = call.Rows with { Rows = [.. call.Rows.Rows.Select((row, index) => index % 2 == 0 ? row with { Length = 0 } : row)] }
        };
        var output = padded.Forward(_paged);
        for (var row = 0; row < call.Rows.Rows.Length; row += 2)
            Assert.All(AttentionCase.Floats(output[row]), value => Assert.Equal(0, value));
    });

    [Theory(Timeout = 60_000), MemberData(nameof(Dtypes))]
    public Task Weights_sum_to_one_and_make_the_output(ScalarType dtype) =>
        Each(15, dtype, TestContext.Current.CancellationToken, (seed, call) =>
    {
        var row = Array.FindIndex(call.Rows.Rows, row => row.Length > 0);
        var (table, length) = call.Rows.Rows[row];
        var weights = _paged.Weights(call.Query, call.Keys, call.Rows, row, call.Slopes);
        Assert.Equal(call.QueryHeads * length, weights.Length);
        var expected = new float[call.QueryHeads * call.Head];
        for (var head = 0; head < call.QueryHeads; head++)
        {
            Assert.Equal(1, weights.AsSpan(head * length, length).ToArray().Sum(weight => (double)weight), 1e-5);
            for (var j = 0; j < length; j++)
            {
                var value = AttentionCase.Floats(
                    call.Values[
                        call.Rows.Tables[table + j / call.BlockTokens], head / (call.QueryHeads / call.Heads), j % call.BlockTokens
                    ]);
                for (var lane = 0; lane < call.Head; lane++) expected[head * call.Head + lane] += weights[head * length + j] * value[lane];
            }
        }

        AssertClose(expected, AttentionCase.Floats(call.Forward(_paged)[row]), dtype, $"seed {seed}");
    });

    [Theory(Timeout = 60_000), MemberData(nameof(Dtypes))]
    public Task Append_writes_each_row_at_its_own_position_and_nothing_else(ScalarType dtype) =>
        Each(30, dtype, TestContext.Current.CancellationToken, (seed, call) =>
    {
        var rows = call.Rows with
        {
            Rows = [
                .. call.Rows.Rows.DistinctBy(
                    row =>
                        row.Length == 0
                            ? -1
                            : call.Rows.Tables[
                                row.Table + (row.Length - 1) / call.BlockTokens
                            ] * 1000 + (row.Length - 1) % call.BlockTokens)
            ]
        };
        var added = AttentionCase.Normal(new Random(seed), rows.Rows.Length, 3 * call.Heads * call.Head).to(dtype).chunk(3, -1);
        var (keys, values) = (call.Keys.clone(), call.Values.clone());
        _plain.Append(keys, values, added[1], added[2], rows);
        Assert.False(AttentionCase.Same(keys, call.Keys));
        _paged.Append(call.Keys, call.Values, added[1], added[2], rows);
        Assert.True(AttentionCase.Same(keys, call.Keys) && AttentionCase.Same(values, call.Values), $"seed {seed}");
        foreach (var (row, index) in rows.Rows.Select((row, index) => (row, index)).Where(entry => entry.row.Length > 0))
        {
            var (block, token) = Math.DivRem(row.Length - 1, call.BlockTokens);
            Assert.Equal(
                AttentionCase.Floats(added[2][index]), AttentionCase.Floats(values[call.Rows.Tables[row.Table + block]].select(1, token)));
        }
    });

    [Fact(Timeout = 60_000)]
    public Task Values_that_are_not_finite_affect_only_the_rows_that_see_them() =>
        Each(10, ScalarType.BFloat16, TestContext.Current.CancellationToken, (_, call) =>
    {
        var row = Array.FindLastIndex(call.Rows.Rows, row => row.Length > 0);
        var (table, length) = call.Rows.Rows[row];
        var (block, token) = Math.DivRem(length - 1, call.BlockTokens);
        var before = call.Forward(_paged);
        call.Keys[call.Rows.Tables[table + block]].select(1, token).fill_(float.NaN);          // the last key of the last sequence
        var after = call.Forward(_paged);
        for (var other = 0; other < call.Rows.Rows.Length; other++)
        {
            if (call.Rows.Rows[other].Table == table && call.Rows.Rows[other].Length == length)
                Assert.All(AttentionCase.Floats(after[other]), value => Assert.True(float.IsNaN(value)));
            else Assert.True(AttentionCase.Same(before[other], after[other]));
        }
    });

    [Fact(Timeout = 60_000)]
    public Task Nothing_stays_alive_but_the_result() => Each(1, ScalarType.BFloat16, TestContext.Current.CancellationToken, (_, call) =>
    {
        var added = call.Query.slice(1, 0, call.Heads * call.Head, 1).clone();
        foreach (IBlockAttention attention in new IBlockAttention[] { _paged, _plain })
        {
            var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            for (var round = 0; round < 5; round++)
            {
                attention.Append(call.Keys, call.Values, added, added, call.Rows);
                attention.Weights(call.Query, call.Keys, call.Rows, 0, call.Slopes);
                using var output = call.Forward(attention);
                Assert.Equal(before + 1, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
            }

            Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        }
    });

    [Fact(Timeout = 60_000)]
    public Task Calls_that_would_reach_beyond_memory_are_refused() =>
        Each(5, ScalarType.Float32, TestContext.Current.CancellationToken, (_, call) =>
    {
        var sees = Array.FindIndex(call.Rows.Rows, row => row.Length > 0);
        var rows = call.Rows.Rows;
        var beyond = call.Keys.shape[0];
        foreach (var attention in new IBlockAttention[] { _paged, _plain })
        {
            Refused(
                call with
                {
                    Rows = call.Rows with { Rows = [.. rows[..sees], rows[sees] with { Length = 100_000 }, .. rows[(sees + 1)..]] }
                });
            Refused(
                call with { Rows = call.Rows with { Rows = [.. rows[..sees], rows[sees] with { Table = -1 }, .. rows[(sees + 1)..]] } });
            Refused(call with { Rows = call.Rows with { Rows = rows[1..] } });
            Refused(call with { Rows = call.Rows with { Tables = [.. call.Rows.Tables.Select(_ => (int)beyond)] } });
            Refused(call with { Query = call.Query.to(ScalarType.BFloat16) });
            Refused(call with { Query = call.Query.slice(1, 0, call.Query.shape[1] - 1, 1) });
            Refused(call with { Values = call.Values.repeat(1, 1, 1, 2) });
            Refused(call with { Slopes = [.. Enumerable.Repeat(1f, call.QueryHeads + 1)] });

            void Refused(AttentionCase wrong) => Assert.Throws<ArgumentException>(() => wrong.Forward(attention));
        }
    });

    private Task Each(int count, ScalarType dtype, CancellationToken cancellation, Action<int, AttentionCase> check) =>
        models.Thread.RunAsync(() =>
    {
        for (var seed = 0; seed < count; seed++)
        {
            using var scope = NewDisposeScope();
            check(seed, AttentionCase.Random(seed, dtype));
        }

        return count;
    }, cancellation);

    // The tolerance is 1e-5 of the largest value, and in bf16 additionally one rounding of each value.
    private static void AssertClose(float[] expected, float[] actual, ScalarType dtype, string message)
    {
        Assert.Equal(expected.Length, actual.Length);
        var (largest, rounding) = (expected.Max(Math.Abs), dtype == ScalarType.BFloat16 ? 1 / 128f : 0);
        for (var index = 0; index < expected.Length; index++)
            Assert.True(
                Math.Abs(expected[index] - actual[index]) <= 1e-5f * largest + rounding * Math.Abs(expected[index]),
                $"{message}: {actual[index]} is not {expected[index]} at {index}");
    }
}
