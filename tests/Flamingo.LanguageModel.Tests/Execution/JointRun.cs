using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>Prompts that one runner computes together, with a chunk of each in every step.</summary>
internal sealed class JointRun(Models models, string family)
{
    public bool Shuffled { get; init; }

    public ScalarType Dtype { get; init; } = ScalarType.Float32;

    /// <summary>Number of multiplications from which on all threads compute steps of few rows; null for the usual one.</summary>
    public long? ParallelWork { get; init; }

    public WeightStorage Storage { get; init; } = WeightStorage.Native;

    /// <returns>For each prompt, the logits of each of its tokens.</returns>
    public async Task<List<List<float[]>>> RunAsync(IReadOnlyList<SequencePrompt> prompts, int chunk)
    {
        using var decoder = models.NewDecoder(family, config => config, dtype: Dtype, storage: Storage);
        using var runner = models.NewRunner(decoder, family, blocks: 128);
        runner.ParallelWork = ParallelWork;
        var random = new Random(chunk);
        var free = Enumerable.Range(0, 128).ToArray();
        if (Shuffled) random.Shuffle(free);
        var tables = new List<int[]>();
        var taken = 0;
        foreach (var prompt in prompts)
        {
            var blocks = (prompt.Ids.Count + MemoryPlan.BlockTokens - 1) / MemoryPlan.BlockTokens;
            tables.Add(free[taken..(taken += blocks)]);
        }

        var keys = prompts[0].Latents.Keys.ToList();
        await runner.RunAsync(
            new ScheduledBatch([.. keys.Select((key, slot) => new Projection(slot, prompts[0].Latents[key]))], [], []),
            TestContext.Current.CancellationToken);
        var logits = prompts.Select(_ => new List<float[]>()).ToList();
        while (true)
        {
            var (chunks, whose) = (new List<ScheduledChunk>(), new List<int>());
            foreach (var (index, prompt) in prompts.Index().Where(item => logits[item.Index].Count < item.Item.Ids.Count))
            {
                var start = logits[index].Count;
                var tokens = Math.Min(chunk, prompt.Ids.Count - start);
                chunks.Add(new ScheduledChunk(
                    [.. prompt.Ids.Skip(start).Take(tokens)], start, tables[index],
                    [
                        .. prompt.Pictures.Skip(start)
                            .Take(tokens)
                            .Select(picture => picture < 0 ? -1 : keys.IndexOf(prompt.Keys[picture]))
                    ]) { LogitRows = tokens });
                whose.Add(index);
            }

            if (chunks.Count == 0) return logits;
            foreach (
                var (index, output) in whose.Zip(
                    await runner.RunAsync(
                        new ScheduledBatch([], [], chunks),
                        TestContext.Current.CancellationToken))) logits[index].AddRange(output.Logits);
        }
    }
}
