using Flamingo.Stages;
using static Flamingo.LanguageModel.Tests.Execution.LanguageModelStageTests;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>What IDEFICS wants of a prompt and of an answer.</summary>
public sealed class IdeficsPromptTests(Models models)
{
    private const int Around = 541, Image = 542;

    [Fact]
    public async Task Pictures_are_surrounded_and_neighbours_share_a_token()
    {
        var (picture, text) = (new PictureSegment("a", null), new TextSegment("a"));
        async Task<IReadOnlyList<int>> Ids(params PromptSegment[] segments) => await models.Stage("idefics").TokenizeAsync(segments, TestContext.Current.CancellationToken);
        Assert.Equal([1, Around, Image, Around], await Ids(picture));
        Assert.Equal([1, Around, Image, Around, Image, Around, Image, Around], await Ids(picture, picture, picture));
        Assert.Equal([1, Around, Image, Around, 259, Around, Image, Around, 259], await Ids(picture, text, picture, text));
    }

    [Fact]
    public async Task A_text_that_places_markers_itself_is_refused()
    {
        foreach (var texts in new string[][] { ["<fake_token_around_image>"], ["<image>"], ["<fake_token_", "around_image>"] })
        {
            var refused = await Assert.ThrowsAsync<StageException>(() => models.Stage("idefics").TokenizeAsync([.. texts.Select(text => new TextSegment(text))], TestContext.Current.CancellationToken));
            Assert.Equal(StageErrorKind.InvalidArgument, refused.Kind);
        }
    }

    [Fact]
    public async Task Markers_are_never_generated_whatever_the_caller_wants()
    {
        var request = new LanguageModelRequest(Golden.Segments("idefics", "three-shot"), new() { MaxTokens = 24, LogitBias = new Dictionary<int, float> { [Image] = 100, [Around] = 100 } });
        var plain = await Generate(models.Stage("idefics"), request with { Sampling = request.Sampling with { LogitBias = new Dictionary<int, float>() } });
        Assert.Equal(plain.Ids, (await Generate(models.Stage("idefics"), request)).Ids);
        var sampled = await Generate(models.Stage("idefics"), request with { Sampling = request.Sampling with { Temperature = 2, Seed = 3, AllowedTokens = [Image, Around, 300] } });
        Assert.All(sampled.Ids, id => Assert.Equal(300, id));
        var refused = await Assert.ThrowsAsync<StageException>(() => Generate(models.Stage("idefics"), request with { Sampling = request.Sampling with { AllowedTokens = [Image, Around] } }));
        Assert.Equal("sampling.allowed_tokens", Assert.Single(refused.Faults).Field);
    }
}
