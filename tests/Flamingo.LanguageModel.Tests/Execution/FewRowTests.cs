using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.LanguageModel.Network.FewRows;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>
/// Steps of few rows in bf16, which are computed outside torch: they are torch's within the rounding of bf16, and a row has the same bits
/// in every batch of few rows.
/// </summary>
public sealed class FewRowTests(Models models, ITestOutputHelper output)
{
    public static TheoryData<string, WeightStorage> Families
    {
        get
        {
            var cases = new TheoryData<string, WeightStorage>();
            foreach (var family in Golden.Families.Append("grouped"))
                foreach (var storage in new[] { WeightStorage.Native, WeightStorage.Int8 }) cases.Add(family, storage);
            return cases;
        }
    }

    [Theory, MemberData(nameof(Families))]
    public async Task Logits_of_every_token_are_those_of_torch_within_rounding(string family, WeightStorage storage)
    {
        var (worst, worstOfTorch, worstOfFew) = (0.0, 0.0, 0.0);
        foreach (var (name, prompt) in Prompts(family))
        {
            var run = new JointRun(models, family) { Dtype = ScalarType.BFloat16, Storage = storage };
            var torch = Flat(await run.RunAsync([prompt], chunk: int.MaxValue));
            var few = Flat(await run.RunAsync([prompt], chunk: 1));
            worst = Math.Max(worst, Golden.Error(torch, few));
            if (family == "grouped") continue;
            var original = Golden.Logits(family, name).Values;
            worstOfTorch = Math.Max(worstOfTorch, Golden.Error(original, torch));
            worstOfFew = Math.Max(worstOfFew, Golden.Error(original, few));
        }

        output.WriteLine($"{family} {storage}: {worst:e2} from torch; from the original {worstOfFew:e2}, torch {worstOfTorch:e2}");
        // torch's int8 products of many rows round once more than those of few rows, before they scale the sums.
        Assert.InRange(worst, 0, storage == WeightStorage.Native ? 0.015 : 0.06);
        Assert.InRange(worstOfFew, 0, (1.5 * worstOfTorch) + 0.002);
    }

    [Theory, MemberData(nameof(Families))]
    public async Task Chunks_other_requests_blocks_and_threads_change_no_bit(string family, WeightStorage storage)
    {
        var prompts = Prompts(family).Select(item => item.Prompt).Take(4).ToList();
        var alone = new List<List<float[]>>();
        foreach (var prompt in prompts) alone.Add((await Run(work: null).RunAsync([prompt], chunk: 1))[0]);
        foreach (var (together, chunk, work) in new[] { (1, 4, (long?)0), (1, 3, null), (2, 2, 0), (4, 1, 0), (4, 1, null), (3, 1, 0) })
        {
            var results = await Run(work).RunAsync(prompts[..together], chunk);
            foreach (var (expected, actual) in alone.Zip(results))
                foreach (var (row, (left, right)) in expected.Zip(actual).Index())
                    Assert.True(left.AsSpan().SequenceEqual(right), $"row {row} in chunks of {chunk}, {together} together, work {work}");
        }

        JointRun Run(long? work) =>
            new(models, family) { Dtype = ScalarType.BFloat16, Storage = storage, Shuffled = work is null, ParallelWork = work };
    }

    [Fact]
    public async Task The_best_id_is_that_of_the_logits()
    {
        var prompt = Golden.Sequence("mpt1b", "three-shot", room: 0);
        using var decoder = models.NewDecoder("mpt1b", config => config, dtype: ScalarType.BFloat16);
        using var runner = models.NewRunner(decoder, "mpt1b");
        var slots = new int[prompt.Ids.Count];
        var first = prompt.Keys[0];
        var blocks = Enumerable.Range(0, 8).ToList();
        ScheduledChunk Chunk(bool best) => new([.. prompt.Ids.Take(3)], 0, blocks, [.. slots.Take(3)])
        {
            OnlyBest = best, LogitRows = 1,
        };
        var batch = new ScheduledBatch([new Projection(0, prompt.Latents[first])], [], [Chunk(false)]);
        var logits = (await runner.RunAsync(batch, TestContext.Current.CancellationToken))[0].Logits[0];
        var best = (await runner.RunAsync(new ScheduledBatch([], [], [Chunk(true)]), TestContext.Current.CancellationToken))[0];
        Assert.Equal(logits.AsSpan().IndexOf(logits.Max()), best.Best);
        Assert.Empty(best.Logits);
        Assert.Equal(-1, FewRowDecoder.Best([1, float.NaN, 3]));
        Assert.Equal(1, FewRowDecoder.Best([1, 3, 3]));
    }

    [Fact]
    public async Task Only_bf16_on_the_CPU_is_computed_outside_torch()
    {
        foreach (var (dtype, expected) in new[] { (ScalarType.BFloat16, true), (ScalarType.Float32, false) })
        {
            using var decoder = models.NewDecoder("llama", config => config, dtype: dtype);
            await models.Thread.RunAsync(() =>
            {
                using var text = decoder.NewTextStore(4, MemoryPlan.BlockTokens);
                using var pictures = decoder.NewPictureStore(1, 8);
                var few = decoder.ForFewRows(text, pictures, 4, models.Thread.Team);
                Assert.Equal(expected, few is not null);
                if (few is null) return;
                var row = new AttentionRows([0], [new AttentionRow(0, 1)]);
                var none = new AttentionRows([], [default]);
                Assert.Throws<ArgumentException>(() => few.Run(new DecoderStep([1 << 30], row, none), []));
                Assert.Throws<ArgumentException>(() => few.Run(new DecoderStep([1], new([9], [new AttentionRow(0, 1)]), none), []));
                Assert.Throws<ArgumentException>(() => few.Run(new DecoderStep(new int[5], row, none), []));
            });
        }
    }

    private static IEnumerable<(string Name, SequencePrompt Prompt)> Prompts(string family)
    {
        var reference = family == "grouped" ? "llama" : family;
        foreach (var prompt in Golden.Prompts(reference))
        {
            var name = prompt.GetProperty("name").GetString()!;
            yield return (name, Golden.Sequence(reference, name, room: 0));
        }
    }

    private static float[] Flat(List<List<float[]>> logits) => [.. logits[0].SelectMany(row => row)];
}
