using Flamingo.Abstractions;
using Flamingo.LanguageModel.Execution;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Tests.Execution;

public sealed class BadInputTests(Models models)
{
    private static readonly string KeyA = new('a', 64), KeyB = new('b', 64), KeyC = new('c', 64);

    private static readonly PromptSegment Picture = new PictureSegment(KeyA, ChecksummedLatents.Of(Golden.Latents("mpt1b")[0]));

    [Fact]
    public async Task All_faults_at_once()
    {
        var refused = await Refused(
            [
                new TextSegment("an <image> here"),
                new PictureSegment(KeyA, ChecksummedLatents.Of(TensorData.FromFloats(new float[8], 2, 4))),
            ],
            new() { Temperature = 9, TopP = 0 });
        Assert.Equal(
            ["sampling.temperature", "sampling.top_p", "segments[0].text", "segments[1].latents"],
            refused.Faults.Select(fault => fault.Field).Order());
        Assert.All(refused.Faults, fault => Assert.NotEmpty(fault.Remedy));
    }

    [Fact]
    public async Task An_empty_prompt_is_refused()
    {
        Assert.Equal("segments", Assert.Single((await Refused([])).Faults).Field);
        Assert.Equal("segments", Assert.Single((await Refused([new TextSegment("")])).Faults).Field);
    }

    [Fact]
    public async Task Texts_that_make_a_marker_where_they_meet_are_refused() =>
        Assert.Equal("segments", Assert.Single((await Refused([new TextSegment("<ima"), new TextSegment("ge>"), Picture])).Faults).Field);

    [Fact]
    public async Task Damaged_latents_are_refused_by_segment()
    {
        var value = ChecksummedLatents.Of(Golden.Latents("mpt1b")[0]);
        var refused = await Refused([new TextSegment("x"), new PictureSegment(KeyA, value with { Checksum = new byte[32] })]);
        Assert.Equal("segments[1].latents", Assert.Single(refused.Faults).Field);
    }

    [Fact]
    public async Task Missing_latents_are_named_all_and_once()
    {
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => Generate(
                [new PictureSegment(KeyB, null), Picture, new PictureSegment(KeyC, null), new PictureSegment(KeyB, null)], new()));
        Assert.Equal(FlamingoErrorKind.LatentsMissing, refused.Kind);
        Assert.Equal([KeyB, KeyC], refused.Missing);
    }

    [Fact]
    public async Task A_prompt_longer_than_the_context_is_refused_with_its_count()
    {
        var refused = await Refused([new TextSegment(string.Concat(Enumerable.Repeat(" red", 600)))]);
        var fault = Assert.Single(refused.Faults);
        Assert.Equal("segments", fault.Field);
        Assert.Contains("512", fault.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Candidates_are_refused_that_are_empty_hold_markers_or_do_not_fit()
    {
        var stage = models.Stage("mpt1b");
        Task<FlamingoException> Rank(params string[] candidates) =>
            Assert.ThrowsAsync<FlamingoException>(() => stage.RankAsync(new([Picture], candidates), TestContext.Current.CancellationToken));
        Assert.Equal(["candidates[0]", "candidates[2]"], (await Rank("", "fine", "an <image>")).Faults.Select(fault => fault.Field));
        Assert.Equal(["candidates"], (await Rank()).Faults.Select(fault => fault.Field));
        Assert.Equal(
            ["candidates[1]"], (await Rank("fine", string.Concat(Enumerable.Repeat(" red", 600)))).Faults.Select(fault => fault.Field));
        var few = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions { MaxCandidates = 1 });
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => few.RankAsync(new([Picture], ["a", "b"]), TestContext.Current.CancellationToken));
        Assert.Equal("candidates", Assert.Single(refused.Faults).Field);
        few.Dispose();
    }

    [Fact]
    public async Task A_ranking_of_more_tokens_than_the_limit_names_candidates_and_the_option_and_counts_the_prompt_once()
    {
        PromptSegment[] prompt = [new TextSegment(string.Concat(Enumerable.Repeat(" red", 30)))];
        var tokens = (await models.Stage("mpt1b").TokenizeAsync(prompt, TestContext.Current.CancellationToken)).Count;
        var candidates = Enumerable.Repeat(" red", 20).ToArray();
        var one = (await models.Stage("mpt1b").RankAsync(new(prompt, candidates), TestContext.Current.CancellationToken))
            .Candidates[0].Ids.Count;
        var most = tokens + (20 * one);
        await using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions { MaxRankTokens = most });
        await stage.RankAsync(new(prompt, candidates), TestContext.Current.CancellationToken);
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => stage.RankAsync(new(prompt, [.. candidates, " red"]), TestContext.Current.CancellationToken));
        var fault = Assert.Single(refused.Faults);
        Assert.Equal((FlamingoErrorKind.InvalidArgument, "candidates"), (refused.Kind, fault.Field));
        Assert.Contains("LanguageModel:MaxRankTokens", fault.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public async Task Latents_that_are_not_finite_are_refused_by_segment_and_do_not_stick_to_their_key(float value)
    {
        var stage = models.Stage("mpt1b");
        var sound = Golden.Latents("mpt1b")[0];
        var floats = sound.ToFloats();
        floats[^1] = value;
        var bad = ChecksummedLatents.Of(TensorData.FromFloats(floats, [.. sound.Shape]));
        var key = new string(float.IsNaN(value) ? 'd' : 'e', 64);
        var refused = await Refused([new TextSegment("x"), new PictureSegment(key, bad)]);
        Assert.Equal("segments[1].latents", Assert.Single(refused.Faults).Field);
        PromptSegment[] Prompt(string named) => [new PictureSegment(named, ChecksummedLatents.Of(sound)), new TextSegment("Output:")];
        var other = await LanguageModelStageTests.Generate(stage, new(Prompt(KeyA), new()));
        Assert.Equal(other.Ids, (await LanguageModelStageTests.Generate(stage, new(Prompt(key), new()))).Ids);
    }

    [Fact]
    public async Task Keys_checksums_and_tenants_must_have_their_form()
    {
        var value = ChecksummedLatents.Of(Golden.Latents("mpt1b")[0]);
        foreach (var key in new[] { "", "a", new string('A', 64), new string('g', 64), new string('a', 65), new string('a', 1 << 20) })
            Assert.Equal("segments[0].key", Assert.Single((await Refused([new PictureSegment(key, value)])).Faults).Field);
        foreach (var wrong in new[] { new byte[31], new byte[33], new byte[32] })
            Assert.Equal("segments[0].checksum",
                Assert.Single((await Refused([new PictureSegment(KeyA, value) { Checksum = wrong }])).Faults).Field);
        foreach (var tenant in new[] { "somebody", new string('A', 64), new string('a', 63), new string('a', 1 << 20) })
        {
            var refused = await Assert.ThrowsAsync<FlamingoException>(() => LanguageModelStageTests.Generate(
                models.Stage("mpt1b"), new([Picture], new()) { Tenant = tenant }));
            Assert.Equal("tenant", Assert.Single(refused.Faults).Field);
            refused = await Assert.ThrowsAsync<FlamingoException>(() => models.Stage("mpt1b").RankAsync(
                new([Picture], ["red"]) { Tenant = tenant }, TestContext.Current.CancellationToken));
            Assert.Equal("tenant", Assert.Single(refused.Faults).Field);
        }
    }

    [Fact]
    public async Task Three_hundred_thousand_empty_segments_are_one_fault()
    {
        var empty = new PictureSegment("", null);
        Assert.Equal("segments", Assert.Single((await Refused([.. Enumerable.Repeat(empty, 300_000)])).Faults).Field);
    }

    private async Task<FlamingoException> Refused(IReadOnlyList<PromptSegment> segments, SamplingParameters? sampling = null)
    {
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => Generate(segments, sampling ?? new()));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, refused.Kind);
        return refused;
    }

    private Task Generate(IReadOnlyList<PromptSegment> segments, SamplingParameters sampling) =>
        LanguageModelStageTests.Generate(models.Stage("mpt1b"), new(segments, sampling));
}
