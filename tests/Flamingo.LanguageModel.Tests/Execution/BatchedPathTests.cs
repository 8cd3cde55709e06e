using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>
/// The path that serves requests, compared with the golden values and with itself: a row's logits are bit for bit the same in every batch.
/// </summary>
public sealed class BatchedPathTests(Models models)
{
    public static TheoryData<string, string> AllPrompts => Golden.Names();

    [Theory]
    [MemberData(nameof(AllPrompts))]
    public async Task Logits_of_every_token_are_the_originals(string family, string name)
    {
        var (expected, shape) = Golden.Logits(family, name);
        var rows = await new JointRun(models, family).RunAsync([Golden.Sequence(family, name, room: 0)], chunk: int.MaxValue);
        Assert.Equal(shape[0], rows[0].Count);
        Assert.InRange(Golden.Error(expected, rows[0].SelectMany(row => row).ToArray()), 0, 1e-5);
    }

    public static TheoryData<string> Families => [.. Golden.Families, "grouped"];

    [Theory]
    [MemberData(nameof(Families))]
    public async Task Chunks_other_requests_and_blocks_change_no_bit(string family)
    {
        var reference = family == "grouped" ? "llama" : family;
        var prompts = Golden.Prompts(reference)
            .Select(prompt => Golden.Sequence(reference, prompt.GetProperty("name").GetString()!, room: 0))
            .ToList();
        var alone = new List<IReadOnlyList<float[]>>();
        foreach (var prompt in prompts) alone.Add((await new JointRun(models, family).RunAsync([prompt], int.MaxValue))[0]);
        foreach (var (chunk, shuffled) in new[] { (int.MaxValue, true), (16, false), (7, true), (3, false), (1, true) })
        {
            var together = await new JointRun(models, family) { Shuffled = shuffled }.RunAsync(prompts, chunk);
            foreach (var (expected, actual) in alone.Zip(together))
                foreach (var (row, (left, right)) in expected.Zip(actual).Index())
                    Assert.True(left.AsSpan().SequenceEqual(right), $"row {row} in chunks of {chunk}, {prompts.Count} together");
        }
    }

    /// <summary>Prompts that one runner computes together, with a chunk of each in every step.</summary>
    private sealed class JointRun(Models models, string family)
    {
        public bool Shuffled { get; init; }

        /// <returns>For each prompt, the logits of each of its tokens.</returns>
        public async Task<List<List<float[]>>> RunAsync(IReadOnlyList<SequencePrompt> prompts, int chunk)
        {
            using var decoder = models.NewDecoder(family, config => config);
            using var runner = models.NewRunner(decoder, family, blocks: 128);
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
}
