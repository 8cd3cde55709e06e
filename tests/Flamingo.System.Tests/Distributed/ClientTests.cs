using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Fixtures;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Distributed;

/// <summary>The typed client against the running hosts.</summary>
public sealed class ClientTests(Stack shared) : HostTests(shared)
{
    private static byte[] Example(string name) => File.ReadAllBytes(RepositoryFiles.Path("models", "shapes", "examples", name));

    [Fact(Timeout = 60_000)]
    public async Task A_picture_encoded_ahead_serves_by_its_id()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var encoded = await client.EncodeAsync([Example("vqa-shot-1.png"), Example("vqa-query.png")], includePooled: true, Cancellation);
        Assert.Equal([PictureSource.Encoded, PictureSource.Encoded], encoded.Pictures.Select(picture => picture.Source));
        Assert.Equal([128, 128], encoded.Pooled.Select(pooled => Assert.Single(pooled.Shape)));

        var bytes = new Prompt().Picture(Example("vqa-shot-1.png")).Text("Question:is there a yellow star? Short answer:no<|endofchunk|>")
            .Picture(Example("vqa-query.png")).Text("Question:how many shapes are there? Short answer:");
        var ids = new Prompt().PictureId(encoded.Pictures[0].Id).Text("Question:is there a yellow star? Short answer:no<|endofchunk|>")
            .PictureId(encoded.Pictures[1].Id).Text("Question:how many shapes are there? Short answer:");
        var byBytes = await client.CompleteAsync(bytes, new SamplingParameters { MaxTokens = 14 }, Cancellation);
        var byIds = await client.CompleteAsync(ids, new SamplingParameters { MaxTokens = 14 }, Cancellation);
        Assert.Equal(byBytes.Ids, byIds.Ids);
        Assert.Equal(byBytes.Text, byIds.Text);
        Assert.Equal([PictureSource.Memory, PictureSource.Memory], byIds.Pictures.Select(picture => picture.Source));
        Assert.Equal(encoded.Pictures.Select(picture => picture.Id), byIds.Pictures.Select(picture => picture.Id));
        Assert.Equal(encoded.Digests, byIds.Finished.Digests);
        Assert.Equal((await client.GetModelAsync(Cancellation)).Vision.WeightsDigest, encoded.Digests.Vision);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_stream_is_pictures_then_tokens_then_the_end()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var prompt = new Prompt().Picture(Example("caption-query.png")).Text("Output:");
        var whole = await client.CompleteAsync(prompt, new SamplingParameters { MaxTokens = 14 }, Cancellation);
        var events = await client.GenerateAsync(prompt, new SamplingParameters { MaxTokens = 14 }, Cancellation).ToListAsync(Cancellation);
        Assert.IsType<PicturesResolved>(events[0]);
        Assert.IsType<AnswerFinished>(events[^1]);
        var tokens = events[1..^1].Select(Assert.IsType<AnswerTokens>).ToList();
        Assert.True(tokens.Count > 3, "An answer comes token by token.");
        Assert.Equal(whole.Text, string.Concat(tokens.Select(item => item.Text)));
        Assert.Equal(whole.Ids, tokens.SelectMany(item => item.Ids));
        Assert.Equal((FinishReason.Stop, whole.Ids.Count), (whole.Finished.Reason, whole.Finished.GeneratedTokens));

        // The seed that the gateway selected repeats the sampled answer.
        var drawn = await client.CompleteAsync(prompt, new SamplingParameters { MaxTokens = 30, Temperature = 1.5f }, Cancellation);
        Assert.Equal(drawn.Ids, (await client.CompleteAsync(prompt,
            new SamplingParameters { MaxTokens = 30, Temperature = 1.5f, Seed = drawn.Finished.Seed }, Cancellation)).Ids);
    }

    [Fact(Timeout = 60_000)]
    public async Task Candidates_come_back_in_their_order()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        string[] candidates = [" two", " three", " a small red circle"];
        var ranking = await client.RankAsync(
            new Prompt().Picture(Episode.Picture("0001.png").Bytes).Text("Question:how many shapes are there? Short answer:"), candidates,
            Cancellation);
        Assert.Equal(candidates, ranking.Candidates.Select(candidate => candidate.Text));
        Assert.All(ranking.Candidates, candidate => Assert.Equal(candidate.Ids.Count, candidate.TokenLogLikelihoods.Count));
        Assert.All(ranking.Candidates.SelectMany(candidate => candidate.TokenLogLikelihoods),
            score => Assert.InRange(score, float.MinValue, 0));
    }

    [Fact(Timeout = 60_000)]
    public async Task Tasks_are_asked_in_the_models_own_words_and_their_pictures_travel_once()
    {
        using var client = new FlamingoClient(new FlamingoClientOptions { Addresses = [Shared.Gateway.Address], Tenant = "tasks" });
        var (shot, query) = (Example("vqa-shot-1.png"), Example("vqa-query.png"));
        var asked = new TaskPrompt(new FlamingoPicture(query)) {
            Examples = [new(new FlamingoPicture(shot), "is there a yellow star?", "no")] };
        var request = new AnswerTask(asked, "how many shapes are there?", new());
        var first = await client.AnswerAsync(request, Cancellation);
        var whole = await client.CompleteAsync(
            new Prompt().Picture(shot).Text("Question:is there a yellow star? Short answer:no<|endofchunk|>").Picture(query)
                .Text("Question:how many shapes are there? Short answer:"), cancellation: Cancellation);
        Assert.Equal((whole.Text, whole.Finished.PromptTokens), (first.Text, first.Finished.PromptTokens));
        Assert.Equal(whole.Ids, first.Ids);
        Assert.Equal([PictureSource.Encoded, PictureSource.Encoded], first.Pictures.Pictures.Select(picture => picture.Source));
        var again = await client.AnswerAsync(request, Cancellation); // by id
        Assert.Equal([PictureSource.Memory, PictureSource.Memory], again.Pictures.Pictures.Select(picture => picture.Source));

        var caption = await client.CaptionAsync(Example("caption-query.png"), Cancellation);
        Assert.NotEmpty(caption.Text);
        var found = await client.ClassifyAsync(Example("caption-query.png"), ["three hexagons", caption.Text], Cancellation);
        Assert.Equal([(caption.Text, 1), ("three hexagons", 0)], found.Labels.Select(label => (label.Label, label.Index)));
        Assert.Equal(["three hexagons", caption.Text], found.Ranking.Candidates.Select(candidate => candidate.Text));
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => client.AnswerAsync(query, "", Cancellation));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, refused.Kind);
    }

    [Fact(Timeout = 60_000)]
    public async Task Refusals_are_typed()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var invalid = await Assert.ThrowsAsync<FlamingoException>(
            () => client.CompleteAsync(new Prompt().Text("<image>"), new SamplingParameters { TopP = 2 }, Cancellation));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, invalid.Kind);
        Assert.Equal(["sampling.top_p", "segments[0].text"], invalid.Faults.Select(fault => fault.Field).Order());
        Assert.All(invalid.Faults, fault =>
            Assert.True(fault.Problem.Length > 0 && fault.Remedy.Length > 0 && !fault.Problem.Contains('\n'), $"{fault}"));

        var (one, other) = (new string('a', 64), new string('b', 64));
        var missing = await Assert.ThrowsAsync<FlamingoException>(() => client.CompleteAsync(
            new Prompt().PictureId(one).PictureId(other).Picture(Episode.Picture("0000.png").Bytes).Text("Output:"),
            new SamplingParameters(), Cancellation));
        Assert.Equal((FlamingoErrorKind.NotFound, $"{one} {other}"), (missing.Kind, string.Join(' ', missing.Missing)));

        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => client.CompleteAsync(LongAnswer.Prompt, LongAnswer.Sampling, cancelled.Token));

        using var nobody = new FlamingoClient($"http://localhost:{FreePort.Next()}");
        Assert.Equal(FlamingoErrorKind.Unavailable,
            (await Assert.ThrowsAsync<FlamingoException>(() => nobody.GetModelAsync(Cancellation))).Kind);
    }
}
