using Flamingo.Abstractions;
using Flamingo.LanguageModel.Execution;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Tests.Execution;

public sealed class BadInputTests(Models models)
{
    private static readonly PromptSegment Picture = new PictureSegment("a", ChecksummedLatents.Of(Golden.Latents("mpt1b")[0]));

    [Fact]
    public async Task All_faults_at_once()
    {
        var refused = await Refused(
            [new TextSegment("an <image> here"), new PictureSegment("a", ChecksummedLatents.Of(TensorData.FromFloats(new float[8], 2, 4)))],
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
        var refused = await Refused([new TextSegment("x"), new PictureSegment("a", value with { Checksum = new byte[32] })]);
        Assert.Equal("segments[1].latents", Assert.Single(refused.Faults).Field);
    }

    [Fact]
    public async Task Missing_latents_are_named_all_and_once()
    {
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => Generate([new PictureSegment("b", null), Picture, new PictureSegment("c", null), new PictureSegment("b", null)], new()));
        Assert.Equal(FlamingoErrorKind.LatentsMissing, refused.Kind);
        Assert.Equal(["b", "c"], refused.Missing);
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

    private async Task<FlamingoException> Refused(IReadOnlyList<PromptSegment> segments, SamplingParameters? sampling = null)
    {
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => Generate(segments, sampling ?? new()));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, refused.Kind);
        return refused;
    }

    private Task Generate(IReadOnlyList<PromptSegment> segments, SamplingParameters sampling) =>
        LanguageModelStageTests.Generate(models.Stage("mpt1b"), new(segments, sampling));
}
