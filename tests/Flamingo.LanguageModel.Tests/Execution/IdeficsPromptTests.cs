using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Stages;
using static Flamingo.LanguageModel.Tests.Execution.LanguageModelStageTests;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>The rules of IDEFICS for prompts and answers.</summary>
public sealed class IdeficsPromptTests(Models models)
{
    private const int Around = 541, Image = 542, EndOfUtterance = 543, EndOfText = 2;

    [Fact]
    public async Task Pictures_are_surrounded_and_adjacent_pictures_share_a_token()
    {
        var (picture, text) = (new PictureSegment(new string('a', 64), null), new TextSegment("a"));
        async Task<IReadOnlyList<int>> Ids(params PromptSegment[] segments) =>
            await models.Stage("idefics").TokenizeAsync(segments, TestContext.Current.CancellationToken);
        Assert.Equal([1, Around, Image, Around], await Ids(picture));
        Assert.Equal([1, Around, Image, Around, Image, Around, Image, Around], await Ids(picture, picture, picture));
        Assert.Equal([1, Around, Image, Around, 259, Around, Image, Around, 259], await Ids(picture, text, picture, text));
    }

    [Fact]
    public async Task A_text_that_places_markers_itself_is_refused()
    {
        foreach (var texts in new string[][] { ["<fake_token_around_image>"], ["<image>"], ["<fake_token_", "around_image>"] })
        {
            var refused = await Assert.ThrowsAsync<FlamingoException>(
                () =>
                    models.Stage("idefics")
                        .TokenizeAsync([.. texts.Select(text => new TextSegment(text))], TestContext.Current.CancellationToken));
            Assert.Equal(FlamingoErrorKind.InvalidArgument, refused.Kind);
        }
    }

    [Fact]
    public async Task Markers_are_never_generated_whatever_the_caller_wants()
    {
        var request = new LanguageModelRequest(
            Golden.Segments("idefics", "three-shot"),
            new() { MaxTokens = 24, LogitBias = new Dictionary<int, float> { [Image] = 100, [Around] = 100 } });
        var plain = await Generate(
            models.Stage("idefics"), request with { Sampling = request.Sampling with { LogitBias = new Dictionary<int, float>() } });
        Assert.Equal(plain.Ids, (await Generate(models.Stage("idefics"), request)).Ids);
        var sampled = await Generate(
            models.Stage("idefics"),
            request with { Sampling = request.Sampling with { Temperature = 2, Seed = 3, AllowedTokens = [Image, Around, 300] } });
        Assert.All(sampled.Ids, id => Assert.Equal(300, id));
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => Generate(models.Stage("idefics"), request with { Sampling = request.Sampling with { AllowedTokens = [Image, Around] } }));
        Assert.Equal("sampling.allowed_tokens", Assert.Single(refused.Faults).Field);
    }

    [Fact]
    public void Behind_the_end_of_text_no_picture_is_seen_until_the_next_one()
    {
        var tokens = models.DirectoryOf("idefics").Config.Tokens;
        Assert.Equal(3, Golden.PromptsAfterEnd.Count);
        foreach (var prompt in Golden.PromptsAfterEnd)
            Assert.Equal(Golden.Ids(prompt.GetProperty("sees")), SeenPictures.Of(Golden.Ids(prompt.GetProperty("ids")), tokens)
                .Select(picture => picture + 1));
    }

    [Fact]
    public void A_directory_of_an_earlier_import_says_the_same()
    {
        var folder = Directory.CreateTempSubdirectory("flamingo-earlier-");
        try
        {
            var model = models.DirectoryOf("idefics");
            ModelDirectory.WriteConfig(folder.FullName, model.Config with { Tokens = model.Config.Tokens with { HidesPictures = null } });
            Assert.DoesNotContain("hides_pictures", File.ReadAllText(Path.Combine(folder.FullName, ModelDirectory.ConfigFile)),
                StringComparison.Ordinal);
            Assert.Equal([EndOfText], ModelDirectory.Open(folder.FullName).Config.Tokens.HidesPictures);
            Assert.Null(models.DirectoryOf("llama").Config.Tokens.HidesPictures);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>
    /// The tokens of a candidate attend to the picture that they would attend to as a part of the prompt, whether the end-of-text
    /// token is the prompt's last or the candidate's first token.
    /// </summary>
    [Theory]
    [InlineData("</s>", "Compare ")]
    [InlineData("", "</s>Compare ")]
    public async Task Candidates_behind_the_end_of_text_see_no_picture(string end, string candidate)
    {
        var whole = Golden.Prompt("idefics", "text-after-end");
        var (logits, shape) = Golden.Logits("idefics", "text-after-end");
        PromptSegment[] prompt = [Golden.Segments("idefics", "text-after-end")[0], new TextSegment(end)];
        var ranking = await models.Stage("idefics")
            .RankAsync(new(end.Length == 0 ? prompt[..1] : prompt, [candidate, "a"]), TestContext.Current.CancellationToken);
        var (ids, scored) = (Golden.Ids(whole.GetProperty("ids")), ranking.Candidates[0]);
        Assert.Equal(ids[ranking.PromptTokens..], scored.Ids);
        foreach (var (at, likelihood) in scored.TokenLogLikelihoods.Index())
        {
            var (row, id) = (logits.AsSpan((ranking.PromptTokens + at - 1) * shape[1], shape[1]).ToArray(), scored.Ids[at]);
            Assert.Equal(row[id] - Math.Log(row.Sum(logit => Math.Exp(logit))), likelihood, 1e-3);
        }
    }

    /// <summary>
    /// Transformers repeats the last row of the mask while it generates, so after a prompt that ends with the end-of-text token
    /// the answer still attends to its picture.
    /// </summary>
    [Fact]
    public async Task Generated_tokens_see_what_the_prompts_last_token_sees_and_serve_no_prompt_that_does_not()
    {
        await using var stage = models.NewStage(models.DirectoryOf("idefics"), new LanguageModelOptions());
        var picture = Golden.Segments("idefics", "text-after-end")[0];
        var ids = (await stage.TokenizeAsync([picture, new TextSegment("</s>")], TestContext.Current.CancellationToken)).ToList();
        var sampling = new SamplingParameters { MaxTokens = 12, LogitBias = new Dictionary<int,
            float> { [EndOfText] = -100, [EndOfUtterance] = -100 } };
        var answer = await Generate(stage, new([picture, new TextSegment("</s>")], sampling));
        foreach (var id in answer.Ids)
        {
            var latents = new Dictionary<string, TensorData> { [Golden.Key(0)] = Golden.Latents("idefics")[0] };
            var seeing = new SequencePrompt([.. ids], [-1, -1, .. Enumerable.Repeat(0, ids.Count - 2)], [Golden.Key(0)], latents,
                ids.Count);
            var row = (await stage.Runner.LogitsAsync(seeing, TestContext.Current.CancellationToken)).ToFloats()[^544..];
            (row[EndOfText], row[EndOfUtterance], row[Around], row[Image]) = (-100, -100, -100, -100);
            Assert.Equal(Array.IndexOf(row, row.Max()), id);
            ids.Add(id);
        }

        // The same ids as a prompt attend to no picture after the end of text, so no block of the answer may be reused.
        var text = JsonTokenizer.Load(models.DirectoryOf("idefics").TokenizerPath).Decode(answer.Ids, skipSpecial: false);
        PromptSegment[] again = [picture, new TextSegment($"</s>{text}")];
        var asked = new LanguageModelRequest(again, sampling);
        Assert.Equal((await Generate(models.Stage("idefics"), asked)).Ids, (await Generate(stage, asked)).Ids);
    }
}
