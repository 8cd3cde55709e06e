using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Devices;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Network.Attention;

/// <summary>The attention for GPUs, computed on the CPU and compared with PlainAttention.</summary>
public sealed class BatchedAttentionTests(Models models) : IDisposable
{
    private readonly DeviceTransfer _transfer = new(CPU);
    private readonly PlainAttention _plain = new();

    public static TheoryData<ScalarType> Dtypes => [.. AttentionCase.Dtypes];

    [Theory, MemberData(nameof(Dtypes))]
    public Task Batched_equals_plain_attention(ScalarType dtype) => Each(80, dtype, (seed, call) =>
    {
        var batched = new BatchedAttention(_transfer);
        var (output, expected) = (call.Forward(batched), call.Forward(_plain));
        Assert.Equal((expected.dtype, true), (output.dtype, output.is_contiguous()));
        Assert.Equal(expected.shape, output.shape);
        AssertClose(expected, output, dtype, $"seed {seed}");
        var rows = batched.Prepare(call.Rows, call.Keys, call.QueryHeads / call.Heads, call.Slopes, appends: false);
        Assert.True(
            AttentionCase.Same(output, (call with { Rows = rows }).Forward(batched)),
            $"seed {seed}: rows that were prepared once for all layers must give the same bits");
    });

    [Theory, MemberData(nameof(Dtypes))]
    public Task Rows_that_see_nothing_get_zeros(ScalarType dtype) => Each(20, dtype, (_, call) =>
    {
        AttentionRow[] rows = [.. call.Rows.Rows.Select((row, index) => index % 2 == 0 ? row with { Length = 0 } : row)];
        var padded = call with { Rows = call.Rows with { Rows = rows } };
        var output = padded.Forward(new BatchedAttention(_transfer));
        for (var row = 0; row < call.Rows.Rows.Length; row += 2)
            Assert.All(AttentionCase.Floats(output[row]), value => Assert.Equal(0, value));
        AssertClose(padded.Forward(_plain), output, dtype, "the others");
    });

    [Theory, MemberData(nameof(Dtypes))]
    public Task Append_writes_what_plain_attention_writes(ScalarType dtype) => Each(40, dtype, (seed, call) =>
    {
        var rows = call.Rows with
        {
            Rows = [.. call.Rows.Rows.DistinctBy(row => row.Length == 0
                ? -1
                : call.Rows.Tables[row.Table + (row.Length - 1) / call.BlockTokens] * 1000 + (row.Length - 1) % call.BlockTokens)],
        };
        var added = AttentionCase.Normal(new Random(seed), rows.Rows.Length, 3 * call.Heads * call.Head).to(dtype).chunk(3, -1);
        var (keys, values, batched) = (call.Keys.clone(), call.Values.clone(), new BatchedAttention(_transfer));
        _plain.Append(keys, values, added[1], added[2], rows);
        batched.Append(call.Keys, call.Values, added[1], added[2], batched.Prepare(rows, call.Keys, 1, slopes: null, appends: true));
        Assert.True(AttentionCase.Same(keys, call.Keys) && AttentionCase.Same(values, call.Values), $"seed {seed}");
    });

    [Fact]
    public Task A_step_uploads_its_numbers_once_whatever_the_layers() => Each(10, ScalarType.Float32, (_, call) =>
    {
        var batched = new BatchedAttention(_transfer);
        var before = _transfer.Uploads;
        var rows = batched.Prepare(call.Rows, call.Keys, call.QueryHeads / call.Heads, slopes: null, appends: true);
        Assert.Equal(before + 1, _transfer.Uploads);
        var prepared = call with { Rows = rows, Slopes = null };
        for (var layer = 0; layer < 5; layer++)
        {
            prepared.Forward(batched);
            batched.Append(
                call.Keys, call.Values,
                call.Query.slice(1, 0, call.Heads * call.Head, 1), call.Query.slice(1, 0, call.Heads * call.Head, 1),
                rows);
        }

        Assert.Equal((before + 1, 0), (_transfer.Uploads, _transfer.Downloads));
    });

    [Fact]
    public Task Slopes_are_uploaded_once_whatever_the_steps() => Each(10, ScalarType.Float32, (_, call) =>
    {
        using var batched = new BatchedAttention(_transfer);
        float[] slopes = [.. Enumerable.Range(1, call.QueryHeads).Select(head => MathF.Pow(2, -head))];
        var before = _transfer.Uploads;
        for (var step = 0; step < 3; step++)
        {
            using var scope = NewDisposeScope(); // disposes the tensors of a step before the next step
            var rows = batched.Prepare(call.Rows, call.Keys, call.QueryHeads / call.Heads, slopes, appends: false);
            AssertClose((call with { Slopes = slopes }).Forward(_plain), (call with { Rows = rows, Slopes = slopes }).Forward(batched),
                ScalarType.Float32, $"step {step}");
        }

        Assert.Equal(before + 1 + 3, _transfer.Uploads); // one upload of the slopes, and one upload of the numbers of each step
    });

    [Fact]
    public Task Rows_that_were_prepared_for_reading_are_never_appended() => Each(3, ScalarType.Float32, (_, call) =>
    {
        var (batched, added) = (new BatchedAttention(_transfer), call.Query.slice(1, 0, call.Heads * call.Head, 1));
        var rows = batched.Prepare(call.Rows, call.Keys, call.QueryHeads / call.Heads, slopes: null, appends: false);
        Assert.Throws<ArgumentException>(() => batched.Append(call.Keys, call.Values, added, added, rows));
    });

    [Fact]
    public Task Nothing_stays_alive_but_the_result() => Each(3, ScalarType.BFloat16, (_, call) =>
    {
        var (batched, added) = (new BatchedAttention(_transfer), call.Query.slice(1, 0, call.Heads * call.Head, 1).clone());
        call.Forward(batched).Dispose(); // the slopes of the call, if any, are kept for the next calls
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (var round = 0; round < 5; round++)
        {
            batched.Append(call.Keys, call.Values, added, added, call.Rows);
            using var output = call.Forward(batched);
            Assert.Equal(before + 1, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        }
    });

    [Fact]
    public Task Calls_that_would_reach_beyond_memory_are_refused() => Each(5, ScalarType.Float32, (_, call) =>
    {
        var (sees, rows, beyond) = (Array.FindIndex(call.Rows.Rows, row => row.Length > 0), call.Rows.Rows, (int)call.Keys.shape[0]);
        AttentionRow[] tooLong = [.. rows[..sees], rows[sees] with { Length = 100_000 }, .. rows[(sees + 1)..]];
        Refused(call with { Rows = call.Rows with { Rows = tooLong } });
        Refused(call with { Rows = call.Rows with { Rows = rows[1..] } });
        Refused(call with { Rows = call.Rows with { Tables = [.. call.Rows.Tables.Select(_ => beyond)] } });
        Refused(call with { Query = call.Query.to(ScalarType.BFloat16) });
        Refused(call with { Slopes = [.. Enumerable.Repeat(1f, call.QueryHeads + 1)] });

        void Refused(AttentionCase wrong) => Assert.Throws<ArgumentException>(() => wrong.Forward(new BatchedAttention(_transfer)));
    });

    public void Dispose() => _transfer.Dispose();

    private Task Each(int count, ScalarType dtype, Action<int, AttentionCase> check) => models.Thread.RunAsync(() =>
    {
        for (var seed = 0; seed < count; seed++)
        {
            using var scope = NewDisposeScope();
            check(seed, AttentionCase.Random(seed, dtype));
        }

        return count;
    }, TestContext.Current.CancellationToken);

    // The tolerance of f32 is 1e-5 of the largest value. In bf16 weights and biases are rounded as well, so it is some hundredths
    // of the largest value.
    private static void AssertClose(Tensor expected, Tensor actual, ScalarType dtype, string message)
    {
        var (left, right) = (AttentionCase.Floats(expected), AttentionCase.Floats(actual));
        var allowed = (dtype == ScalarType.BFloat16 ? 3e-2f : 1e-5f) * Math.Max(1e-3f, left.Max(Math.Abs));
        for (var index = 0; index < left.Length; index++)
        {
            Assert.True(
                Math.Abs(left[index] - right[index]) <= allowed,
                $"{message}: {right[index]} is not {left[index]} at {index}");
        }
    }
}
