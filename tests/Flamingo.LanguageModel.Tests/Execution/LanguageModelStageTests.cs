using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling.Runtime;
using Flamingo.Stages;
using TorchSharp;

namespace Flamingo.LanguageModel.Tests.Execution;

public sealed class LanguageModelStageTests(Models models)
{
    public static TheoryData<string, string> Answered => Golden.Names(with: "greedy");

    public static TheoryData<string, string> Ranked => Golden.Names(with: "rank");

    [Theory]
    [MemberData(nameof(Answered))]
    public async Task Greedy_answers_are_the_originals(string family, string name)
    {
        var golden = Golden.Prompt(family, name).GetProperty("greedy");
        var (text, ids, finished) = await Generate(models.Stage(family), new(Golden.Segments(family, name), new() { MaxTokens = 12 }));
        Assert.Equal(Golden.Ids(golden.GetProperty("ids")), ids);
        if (golden.TryGetProperty("text", out var said)) Assert.Equal(
            said.GetString()!.Replace("<|endofchunk|>", "", StringComparison.Ordinal)
            .Replace("<end_of_utterance>", "", StringComparison.Ordinal), text);
        Assert.Equal(ids.Count, finished.GeneratedTokens);
        Assert.Equal(Golden.Prompt(family, name).GetProperty("ids").GetArrayLength(), finished.PromptTokens);
        Assert.Equal(models.DirectoryOf(family).Config.Tokens.Stop.Contains(ids[^1]) ? FinishReason.Stop : FinishReason.Length,
            finished.Reason);
        var times = finished.Timings;
        Assert.True(times.Prefill > TimeSpan.Zero && times.Prefill <= times.FirstToken && times.FirstToken <= times.Total);
    }

    [Theory]
    [MemberData(nameof(Ranked))]
    public async Task Rankings_are_the_originals(string family, string name)
    {
        var golden = Golden.Prompt(family, name).GetProperty("rank").EnumerateArray().ToArray();
        var ranking = await models.Stage(family)
            .RankAsync(
                new(Golden.Segments(family, name), [.. golden.Select(candidate => candidate.GetProperty("text").GetString()!)]),
                TestContext.Current.CancellationToken);
        foreach (var (expected, actual) in golden.Zip(ranking.Candidates))
        {
            Assert.Equal(Golden.Ids(expected.GetProperty("ids")), actual.Ids);
            var likelihoods = expected.GetProperty("token_log_likelihoods").EnumerateArray().Select(value => value.GetDouble());
            Assert.All(likelihoods.Zip(actual.TokenLogLikelihoods), pair => Assert.Equal(pair.First, pair.Second, 1e-3));
            Assert.Equal(expected.GetProperty("mean").GetDouble(), actual.Mean, 1e-3);
        }

        Assert.Equal(golden.Length, ranking.Candidates.Count);
        Assert.Equal(golden.OrderByDescending(
            candidate => candidate.GetProperty("mean").GetDouble()).Select(candidate => candidate.GetProperty("text").GetString()),
            ranking.Candidates.OrderByDescending(candidate => candidate.Mean).Select(candidate => candidate.Text));
    }

    [Theory]
    [InlineData("idefics")]
    [InlineData("llama")]
    [InlineData("mpt1b")]
    public async Task A_candidate_that_begins_with_a_blank_has_the_ids_of_the_whole_text(string family)
    {
        var stage = models.Stage(family);
        async Task<IReadOnlyList<int>> Ids(string text) =>
            await stage.TokenizeAsync([new TextSegment(text)], TestContext.Current.CancellationToken);
        var ranking = await stage.RankAsync(new([new TextSegment("Assistant:")], [" dog", " two stars", "dog"]),
            TestContext.Current.CancellationToken);
        foreach (var candidate in ranking.Candidates.Take(2))
            Assert.Equal((await Ids($"Assistant:{candidate.Text}")).Skip((await Ids("Assistant:")).Count), candidate.Ids);
        Assert.Equal((await Ids("dog")).Skip(models.DirectoryOf(family).Config.Tokens.Beginning is null ? 0 : 1),
            ranking.Candidates[2].Ids);
    }

    /// <summary>Without the check, the first prompt with an id that has no embedding row would fail.</summary>
    [Fact]
    public void A_tokenizer_of_another_model_refuses_the_start()
    {
        var model = models.Variant("other-tokenizer", "mpt1b", config => config, (_, tensor) => tensor);
        File.Copy(models.DirectoryOf("idefics").TokenizerPath, model.TokenizerPath, overwrite: true);
        var refused = Assert.Throws<CheckpointException>(() => models.NewStage(model, new()).Dispose());
        Assert.Contains("the two do not belong together", refused.Message, StringComparison.Ordinal);
        Assert.Contains(model.TokenizerPath, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_value_serves_every_slot_of_its_key()
    {
        var stage = models.Stage("mpt1b");
        var (key, latents) = (new string('a', 64), ChecksummedLatents.Of(Golden.Latents("mpt1b")[1]));
        IReadOnlyList<PromptSegment> Prompt(ChecksummedLatents? first, ChecksummedLatents? second) =>
            [
                new PictureSegment(key, first), new TextSegment("Output:red<|endofchunk|>"), new PictureSegment(key, second),
                new TextSegment("Output:")
            ];
        var both = await Generate(stage, new(Prompt(latents, latents), new()));
        Assert.Equal(both.Ids, (await Generate(stage, new(Prompt(latents, null), new()))).Ids);
        Assert.Equal(both.Ids, (await Generate(stage, new(Prompt(null, latents), new()))).Ids);
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_answer_and_another_seed_another()
    {
        var stage = models.Stage("mpt1b");
        var request = new LanguageModelRequest(Golden.Segments("mpt1b", "three-shot"), new() { Temperature = 2, Seed = 5, MaxTokens = 24 });
        var first = await Generate(stage, request);
        Assert.Equal(first.Ids, (await Generate(stage, request)).Ids);
        Assert.NotEqual(first.Ids, (await Generate(stage, request with { Sampling = request.Sampling with { Seed = 6 } })).Ids);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Penalties_and_bounds_hold_for_the_answers_of_a_model(int beams)
    {
        var stage = models.Stage("mpt1b");
        var prompt = Golden.Prompt("mpt1b", "three-shot").GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToList();
        var plain = new SamplingParameters { MaxTokens = 24, Beams = beams };
        async Task<List<int>> Ask(SamplingParameters sampling) =>
            (await Generate(stage, new(Golden.Segments("mpt1b", "three-shot"), sampling))).Ids;
        var free = await Ask(plain);

        // a stop token before the least number of tokens does not end the answer
        var least = await Ask(plain with { MinTokens = 20, StopTokens = [.. free.Take(3).Distinct()] });
        Assert.True(least.Count >= 20);
        Assert.Empty(least.Take(20).Intersect(free.Take(3)));

        var distinct = await Ask(plain with { NoRepeatNgramSize = 1, MinTokens = 20 });
        Assert.Equal(distinct.Count, distinct.Except(prompt).Count());
        var pairs = await Ask(plain with { NoRepeatNgramSize = 2, MinTokens = 20 });
        int[] all = [.. prompt, .. pairs];
        var known = prompt.Zip(prompt.Skip(1)).ToHashSet();
        Assert.All(all.Zip(all.Skip(1)).Skip(prompt.Count - 1), pair => Assert.True(known.Add(pair), $"{pair} repeats"));

        // The same tokens are penalised at every length, or rewarded until nothing else is said.
        var varied = await Ask(plain with { FrequencyPenalty = 2, PresencePenalty = 2, MinTokens = 20 });
        var repeated = await Ask(plain with { FrequencyPenalty = -2, PresencePenalty = -2, MinTokens = 20 });
        Assert.True(varied.Distinct().Count() > repeated.Distinct().Count(), $"{string.Join(' ', varied)}; {string.Join(' ', repeated)}");
    }

    [Fact]
    public async Task The_context_ends_an_answer()
    {
        var stage = models.Stage("mpt1b");
        var perWord = (await stage.TokenizeAsync([new TextSegment(Words(100))], TestContext.Current.CancellationToken)).Count / 100;
        var (_, ids, finished) =
            await Generate(stage, new([new TextSegment(Words(504 / perWord))], new() { MaxTokens = 500, Temperature = 2, Seed = 1 }));
        Assert.Equal((FinishReason.Length, stage.Description.ContextLength), (finished.Reason, finished.PromptTokens + ids.Count));
    }

    [Fact]
    public async Task Nothing_stays_alive_after_answers_rankings_failures_and_abandoned_streams()
    {
        using var thread = new InferenceThread(2);
        await using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions(), thread: thread);
        var segments = Golden.Segments("mpt1b", "three-shot");
        await Round();
        var before = await Live();
        for (var round = 0; round < 5; round++) await Round();
        Assert.Equal(before, await Live());

        async Task<long> Live()
        {
            await Idle(stage);
            return await thread.RunAsync(() => DisposeScopeManager.Statistics.ThreadTotalLiveCount, TestContext.Current.CancellationToken);
        }

        async Task Round()
        {
            await Generate(stage, new(segments, new() { MaxTokens = 4 }));
            await stage.RankAsync(new(segments, ["red circle", "two"]), TestContext.Current.CancellationToken);
            await foreach (
                var _ in stage.GenerateAsync(new(segments, new() { MaxTokens = 100 }), TestContext.Current.CancellationToken)) break;
            using var source = new CancellationTokenSource();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            {
                await foreach (
                    var _ in stage.GenerateAsync(
                        new(segments, new() { MaxTokens = 400, StopTokens = [] }), source.Token)) await source.CancelAsync();
            });
            // finite latents whose keys and values are not
            var huge = TensorData.FromFloats(
                [.. Enumerable.Range(0, 64 * 32).Select(index => index % 2 == 0 ? float.MaxValue : -float.MaxValue)], 64, 32);
            var picture = new PictureSegment(new string('f', 64), ChecksummedLatents.Of(huge));
            var failed = await Assert.ThrowsAsync<FlamingoException>(
                () => Generate(stage, new([picture, new TextSegment("Output:")], new())));
            Assert.Equal(FlamingoErrorKind.Internal, failed.Kind);
        }
    }

    /// <summary>Waits until no request runs, and then asserts that nothing is leased.</summary>
    internal static async Task Idle(LanguageModelStage stage)
    {
        while (stage.Statistics is { Running: > 0 } or { Waiting: > 0 }) await Task.Yield();
        var held = stage.Statistics;
        Assert.Equal((0, 0), (held.LeasedBlocks - held.PinnedBlocks, held.LeasedPictures));
        Assert.Equal(stage.Runner.Memory.Blocks, held.FreeBlocks + held.LeasedBlocks + held.CachedBlocks);
    }

    private static string Words(int count) => string.Concat(Enumerable.Repeat(" red", count));

    internal static async Task<(string Text, List<int> Ids, AnswerFinished Finished)> Generate(LanguageModelStage stage,
        LanguageModelRequest request)
    {
        var (text, ids, finished) = ("", new List<int>(), (AnswerFinished?)null);
        await foreach (var generated in stage.GenerateAsync(request, TestContext.Current.CancellationToken))
        {
            if (generated is AnswerTokens tokens)
            {
                text += tokens.Text;
                ids.AddRange(tokens.Ids);
            }

            finished = generated as AnswerFinished;
        }

        return (text, ids, finished!);
    }
}
