using Flamingo.Abstractions;
using Flamingo.LanguageModel.Execution;
using Flamingo.Stages;
using static Flamingo.LanguageModel.Tests.Execution.LanguageModelStageTests;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>
/// Batching never changes an answer. The same request is computed alone, among sixty others, with a cached prefix, in chunks, and
/// in batches with requests that are cancelled.
/// </summary>
public sealed class BatchInvarianceTests(Models models)
{
    private static readonly string[] Names = ["one-picture", "three-shot", "vqa", "text-then-picture", "pictures-in-a-row", "picture-last"];

    [Theory]
    [InlineData("mpt1b")]
    [InlineData("neox")]
    [InlineData("grouped")]
    public async Task An_answer_is_the_same_in_every_batch(string family)
    {
        var reference = family == "grouped" ? "llama" : family;
        // greedy and sampled, short and long, from six prompts, and each third with parameters that depend on the tokens so far
        var requests = Enumerable.Range(0, 60).Select(index =>
        {
            var sampling = new SamplingParameters
            {
                MaxTokens = 4 + (index % 21), Temperature = index % 3 * 0.8f, Seed = (ulong)index, TopP = index % 2 == 0 ? 1 : 0.9f,
            };
            if (index / 3 % 3 == 2)
                sampling = sampling with
                {
                    FrequencyPenalty = 0.5f, PresencePenalty = -0.25f, MinP = 0.02f, NoRepeatNgramSize = 1 + (index % 4),
                    MinTokens = index % 5,
                };
            return new LanguageModelRequest(Golden.Segments(reference, Names[index % Names.Length]), sampling);
        }).ToList();
        var alone = new List<List<int>>();
        await using (var stage = models.NewStage(models.DirectoryOf(family), new LanguageModelOptions()))
        {
            // each tenant has its own prefix cache, so everything is computed again
            foreach (var request in requests)
                alone.Add((await Generate(stage, request with { Tenant = Models.Tenant($"{alone.Count}") })).Ids);
            Assert.Equal(0, stage.Statistics.CachedTokens);
        }

        foreach (var chunk in new[] { 512, 16 })
        {
            await using var stage = models.NewStage(
                models.DirectoryOf(family),
                new LanguageModelOptions { MaxQueued = 100, PrefillChunk = chunk, PrefillChunkBesideDecoding = 16 });
            var together = await Task.WhenAll(
                requests.Select(request => Task.Run(async () => (await Generate(stage, request)).Ids)).Concat(Abandoned(stage, reference)));
            foreach (var (index, ids) in alone.Index()) Assert.Equal(ids, together[index]);
            var again = await Generate(stage, requests[1]);
            Assert.Equal(alone[1], again.Ids);
            Assert.True(again.Finished.CachedTokens >= 16, $"{again.Finished.CachedTokens} tokens came from the cache");
            await Idle(stage);
        }
    }

    [Fact]
    public async Task Samples_of_one_request_are_those_of_their_own_seeds_and_share_the_prompt()
    {
        await using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions());
        var request =
            new LanguageModelRequest(Golden.Segments("mpt1b", "three-shot"), new() { MaxTokens = 20, Temperature = 1.5f, Seed = 7 });
        var single = new List<List<int>>();
        for (var sample = 0; sample < 5; sample++)
        {
            var sampling = request.Sampling with { Seed = 7 + (ulong)sample };
            single.Add((await Generate(stage, request with { Sampling = sampling, Tenant = Models.Tenant($"{sample}") })).Ids);
        }

        var computed = stage.Statistics.ComputedTokens;

        var (ids, samples) = (Enumerable.Range(0, 5).Select(_ => new List<int>()).ToList(), (IReadOnlyList<FinishedSample>)[]);
        await foreach (
            var item in stage.GenerateAsync(
                request with { Sampling = request.Sampling with { Samples = 5 }, Tenant = Models.Tenant("all") },
                TestContext.Current.CancellationToken))
        {
            if (item is AnswerTokens tokens) ids[tokens.Sample].AddRange(tokens.Ids);
            if (item is AnswerFinished finished) samples = finished.Samples;
        }

        Assert.Equal(single, ids);
        Assert.Equal(ids.Select(list => list.Count), samples.Select(sample => sample.GeneratedTokens));
        await Idle(stage);
        var prompt = Golden.Prompt("mpt1b", "three-shot").GetProperty("ids").GetArrayLength();
        Assert.Equal(prompt + ids.Sum(list => list.Count - 1), stage.Statistics.ComputedTokens - computed); // the prompt is computed once
    }

    // Requests that are cancelled after a token or two.
    private static IEnumerable<Task<List<int>>> Abandoned(LanguageModelStage stage, string family) =>
        Enumerable.Range(0, 8).Select(index => Task.Run(async () =>
    {
        var left = index % 3;
        await foreach (
            var _ in stage.GenerateAsync(
                new(Golden.Segments(family, Names[index % Names.Length]), new() { MaxTokens = 200 }),
                TestContext.Current.CancellationToken))
            if (left-- == 0) break;
        return new List<int>();
    }));
}
