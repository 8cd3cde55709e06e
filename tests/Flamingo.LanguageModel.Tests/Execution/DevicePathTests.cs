using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Stages;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>
/// The computation path of a GPU, run on the CPU and compared with the golden values.
/// <see cref="NamedDeviceTests"/> tests that this path names its device everywhere.
/// </summary>
public sealed class DevicePathTests(Models models)
{
    public static TheoryData<string, string> AllPrompts => Golden.Names();

    [Theory, MemberData(nameof(AllPrompts))]
    public async Task Logits_of_every_token_are_the_originals(string family, string name)
    {
        using var decoder = models.NewDecoder(family, config => config);
        using var runner = NewRunner(decoder, family);
        var prompt = Golden.Sequence(family, name, room: 0);
        await ProjectAsync(runner, prompt);
        var (expected, shape) = Golden.Logits(family, name);
        for (var (start, chunk) = (0, 11); start < prompt.Ids.Count; start += chunk) // computed in chunks, so that earlier blocks are read
        {
            var count = Math.Min(chunk, prompt.Ids.Count - start);
            var step = new ScheduledBatch([], [], [Chunk(prompt, start, count, blocks: 0) with { LogitRows = count }]);
            var outputs = await runner.RunAsync(step, TestContext.Current.CancellationToken);
            for (var row = 0; row < count; row++)
            {
                var token = start + row;
                Assert.InRange(Golden.Error(expected[(token * shape[1])..((token + 1) * shape[1])], outputs[0].Logits[row]), 0, 1e-4);
            }
        }
    }

    [Theory]
    [InlineData("mpt1b")]
    [InlineData("pythia")]
    public async Task What_another_sequence_left_in_a_block_is_not_read(string family)
    {
        using var decoder = models.NewDecoder(family, config => config);
        using var runner = NewRunner(decoder, family);
        var prompt = Golden.Sequence(family, "three-shot", room: 0);
        await ProjectAsync(runner, prompt);
        var expected = await RunAsync(runner, Chunk(prompt, 0, prompt.Ids.Count, blocks: 0) with { LogitRows = 1 });

        // A sequence that attends to a damaged picture writes into the blocks that the prompt gets next.
        var latents = prompt.Latents.Values.First();
        byte[] notNumbers = [.. Enumerable.Repeat((byte)0xff, latents.Bytes.Length)]; // NaN in every element
        var broken = new TensorData(latents.Dtype, latents.Shape, notNumbers);
        await runner.RunAsync(new ScheduledBatch([new Projection(7, broken)], [], []), TestContext.Current.CancellationToken);
        var chunk = Chunk(prompt, 0, prompt.Ids.Count, blocks: 20);
        var wrong = await RunAsync(runner, chunk with { Slots = [.. chunk.Slots.Select(_ => 7)], LogitRows = 1 });
        Assert.All(wrong.Logits[0], logit => Assert.True(float.IsNaN(logit)));
        var after = await RunAsync(runner, Chunk(prompt, 0, prompt.Ids.Count, blocks: 20) with { LogitRows = 1 });
        Assert.Equal(expected.Logits[0], after.Logits[0]);
    }

    [Fact]
    public async Task A_greedy_decoding_step_fetches_one_tensor_of_ids_and_uploads_three()
    {
        using var decoder = models.NewDecoder("mpt1b", config => config);
        using var runner = NewRunner(decoder, "mpt1b");
        var prompt = Golden.Sequence("mpt1b", "three-shot", room: 0);
        await ProjectAsync(runner, prompt);
        var last = prompt.Ids.Count - 1;
        var logits = (await RunAsync(runner, Chunk(prompt, 0, last, blocks: 0))).Logits;
        Assert.Empty(logits);
        var (uploads, downloads) = (decoder.Transfer.Uploads, decoder.Transfer.Downloads);
        var step = await RunAsync(runner, Chunk(prompt, last, 1, blocks: 0) with { LogitRows = 1, OnlyBest = true });
        // The uploads are the ids, the numbers of text, the numbers of pictures, and the blocks to clear if the token begins a
        // block. The first step has uploaded the slopes of ALiBi, which stay on the device.
        Assert.Equal(
            (last % MemoryPlan.BlockTokens == 0 ? 4 : 3, 1),
            (decoder.Transfer.Uploads - uploads, decoder.Transfer.Downloads - downloads));
        var (expected, shape) = Golden.Tensor(["families", "mpt1b", "golden.safetensors"], "logits.three-shot");
        Assert.Equal(System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(expected.AsSpan(last * shape[1], shape[1])), step.Best);
    }

    [Fact]
    public async Task A_logit_that_is_not_finite_is_reported_where_only_the_best_id_is_wanted()
    {
        using var decoder = models.NewDecoder("mpt1b", config => config, (entry, bytes) =>
        {
            if (entry.Name == "final_norm.weight") BitConverter.TryWriteBytes(bytes, float.NaN);
        });
        using var runner = models.NewRunner(decoder, "mpt1b");
        var step = await RunAsync(runner, new ScheduledChunk([1, 2], 0, [0], [-1, -1]) { LogitRows = 1, OnlyBest = true });
        Assert.Equal(-1, step.Best);
    }

    private TorchModelRunner NewRunner(Decoder decoder, string family) => new(
        decoder,
        new ModelMemory(64, MemoryPlan.BlockTokens, 8),
        models.DirectoryOf(family).Config.Language.CrossAttention.Heads,
        models.DirectoryOf(family).Config.Resampler.Latents,
        models.Thread, new BatchedAttention(decoder.Transfer));

    private static Task ProjectAsync(TorchModelRunner runner, SequencePrompt prompt) => runner.RunAsync(
        new ScheduledBatch([.. prompt.Latents.Index().Select(item => new Projection(item.Index, item.Item.Value))], [], []),
        TestContext.Current.CancellationToken);

    private static async Task<StepOutput> RunAsync(TorchModelRunner runner, ScheduledChunk chunk) =>
        (await runner.RunAsync(new ScheduledBatch([], [], [chunk]), TestContext.Current.CancellationToken))[0];

    /// <param name="blocks">The first of the blocks that hold the prompt.</param>
    private static ScheduledChunk Chunk(SequencePrompt prompt, int start, int count, int blocks)
    {
        var keys = prompt.Latents.Keys.ToList();
        return new ScheduledChunk(
            [.. prompt.Ids.Skip(start).Take(count)],
            start,
            [.. Enumerable.Range(blocks, (prompt.Ids.Count + MemoryPlan.BlockTokens - 1) / MemoryPlan.BlockTokens)],
            [.. prompt.Pictures.Skip(start).Take(count).Select(picture => picture < 0 ? -1 : keys.IndexOf(prompt.Keys[picture]))]);
    }
}
