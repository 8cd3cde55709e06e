using Flamingo.Abstractions;
using Flamingo.LanguageModel.Execution;
using Flamingo.Stages;
using static Flamingo.LanguageModel.Tests.Execution.LanguageModelStageTests;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>Prefixes, pictures and candidates are not computed twice, and nothing is shared between tenants that must not be.</summary>
public sealed class SharingTests(Models models)
{
    [Fact]
    public async Task The_same_shots_with_another_last_picture_compute_only_the_new_end()
    {
        await using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions());
        var latents = Golden.Latents("mpt1b").Select(ChecksummedLatents.Of).ToList();
        LanguageModelRequest Ask(int last, string tenant = "") => new(
            [
                .. Enumerable.Range(0, 8)
                    .SelectMany(
                        shot => new PromptSegment[] { Picture(shot % 4), new TextSegment($"Output:a large red circle<|endofchunk|>") }),
                Picture(last), new TextSegment("Output:")
            ],
            new() { MaxTokens = 4 }) { Tenant = tenant };
        PictureSegment Picture(int index) => new(Golden.Key(index), latents[index]);

        var cold = (await Generate(stage, Ask(0))).Finished;
        await Idle(stage); // the last event of an answer is sent before its last step is counted
        Assert.Equal((0, 4L), (cold.CachedTokens, stage.Statistics.Projections));
        var computed = stage.Statistics.ComputedTokens;
        var warm = await Generate(stage, Ask(4));
        await Idle(stage);
        Assert.InRange(warm.Finished.CachedTokens, cold.PromptTokens - 20, cold.PromptTokens - 1);
        Assert.Equal(
            warm.Finished.PromptTokens - warm.Finished.CachedTokens + warm.Ids.Count - 1, stage.Statistics.ComputedTokens - computed);
        Assert.Equal(5, stage.Statistics.Projections); // only the new picture
        Assert.Equal((await Generate(stage, Ask(4, Models.Tenant("another")))).Ids, warm.Ids);
        Assert.Equal(0, (await Generate(stage, Ask(4, Models.Tenant("a third")))).Finished.CachedTokens);
    }

    [Fact]
    public async Task A_picture_that_is_held_is_named_by_its_key_alone_and_one_that_is_not_is_asked_for()
    {
        await using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions());
        var latents = ChecksummedLatents.Of(Golden.Latents("mpt1b")[1]);
        var (a, b, c) = (new string('a', 64), new string('b', 64), new string('c', 64));
        LanguageModelRequest Ask(params PictureSegment[] pictures) =>
            new([.. pictures, new TextSegment("Output:")], new() { MaxTokens = 3 });
        PictureSegment Named(string key) => new(key, null) { Checksum = latents.Checksum };
        var missing =
            await Assert.ThrowsAsync<FlamingoException>(() => Generate(stage, Ask(Named(a), new(b, latents), Named(c))));
        Assert.Equal((FlamingoErrorKind.LatentsMissing, $"{a} {c}"), (missing.Kind, string.Join(' ', missing.Missing)));
        var sent = await Generate(stage, Ask(new PictureSegment(a, latents)));
        Assert.Equal(sent.Ids, (await Generate(stage, Ask(Named(a)))).Ids);
        // an older gateway names no checksum, and then the latents must come along
        missing = await Assert.ThrowsAsync<FlamingoException>(() => Generate(stage, Ask(new PictureSegment(a, null))));
        Assert.Equal((FlamingoErrorKind.LatentsMissing, a), (missing.Kind, Assert.Single(missing.Missing)));
        await Idle(stage);
    }

    [Fact]
    public async Task Two_values_of_one_key_never_meet_whoever_sent_them()
    {
        await using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions());
        var (first, second) = (ChecksummedLatents.Of(Golden.Latents("mpt1b")[0]), ChecksummedLatents.Of(Golden.Latents("mpt1b")[3]));
        var (shared, own) = (new string('a', 64), new string('b', 64));
        async Task<IReadOnlyList<float>> Scores(PictureSegment picture, string tenant) => (await stage.RankAsync(
            new([picture, new TextSegment("Output:a")], [" large red circle"]) { Tenant = tenant },
            TestContext.Current.CancellationToken)).Candidates[0].TokenLogLikelihoods;
        var (ofFirst, ofSecond) = (await Scores(new(own, first), ""), await Scores(new(own, second), ""));
        Assert.NotEqual(ofFirst, ofSecond);

        var (one, other) = (Models.Tenant("one"), Models.Tenant("other"));
        Assert.Equal(ofFirst, await Scores(new(shared, first), one));
        foreach (var tenant in new[] { other, one, "" })
        {
            Assert.Equal(ofSecond, await Scores(new(shared, second), tenant));
            Assert.Equal(ofFirst, await Scores(new(shared, first), tenant));
        }

        // both are held, and each is found by its checksum
        Assert.Equal(ofSecond, await Scores(new(shared, null) { Checksum = second.Checksum }, other));
        Assert.Equal(ofFirst, await Scores(new(shared, null) { Checksum = first.Checksum }, other));
        await Idle(stage);
    }

    [Fact]
    public async Task A_thousand_candidates_cost_one_prefix()
    {
        await using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions());
        var names = Enumerable.Range(0, 1000).Select(index => $" {(index % 2 == 0 ? "large" : "small")} circle number {index}").ToList();
        var ranking = await stage.RankAsync(new(Golden.Segments("mpt1b", "one-picture"), names), TestContext.Current.CancellationToken);
        Assert.Equal(names, ranking.Candidates.Select(candidate => candidate.Text));
        await Idle(stage);
        // the prompt is computed once, and of every candidate all tokens but the last
        Assert.Equal(ranking.PromptTokens + ranking.Candidates.Sum(candidate => candidate.Ids.Count - 1), stage.Statistics.ComputedTokens);

        var alone =
            await stage.RankAsync(new(Golden.Segments("mpt1b", "one-picture"), [names[777]]), TestContext.Current.CancellationToken);
        Assert.Equal(alone.Candidates[0].TokenLogLikelihoods, ranking.Candidates[777].TokenLogLikelihoods);
    }

    [Fact]
    public async Task Log_probabilities_bias_and_allowed_tokens()
    {
        var stage = models.Stage("mpt1b");
        var segments = Golden.Segments("mpt1b", "three-shot");
        var told = new List<TokenLogProbability>();
        await foreach (var item in stage.GenerateAsync(new(segments, new() { MaxTokens = 6, LogProbabilities = 3 }),
            TestContext.Current.CancellationToken))
            if (item is AnswerTokens tokens) told.AddRange(tokens.LogProbabilities);
        var ranking = await stage.RankAsync(new(segments, [Decode(told.Select(token => token.Id))]), TestContext.Current.CancellationToken);
        Assert.Equal(told.Select(token => token.Id), ranking.Candidates[0].Ids);
        Assert.All(told.Zip(ranking.Candidates[0].TokenLogLikelihoods), pair => Assert.Equal(pair.Second, pair.First.LogProbability, 1e-5));
        // greedy decoding chooses the most likely token
        Assert.All(
            told,
            token => Assert.Equal((3, token.Id, token.LogProbability), (token.Top.Count, token.Top[0].Id, token.Top[0].LogProbability)));

        Assert.All(
            (await Generate(stage, new(segments, new() { MaxTokens = 6, AllowedTokens = [300, 301], Temperature = 1, Seed = 3 }))).Ids,
            id => Assert.InRange(id, 300, 301));
        Assert.Equal(
            444,
            (await Generate(stage, new(segments, new() { MaxTokens = 1, LogitBias = new Dictionary<int, float> { [444] = 100 } }))).Ids[0]);
    }

    private static string Decode(IEnumerable<int> ids) =>
        Tokenization.TokenizerFiles.Load(Tokenization.TokenizerFiles.WithFlamingoTokens()).Decode([.. ids], skipSpecial: false);
}
