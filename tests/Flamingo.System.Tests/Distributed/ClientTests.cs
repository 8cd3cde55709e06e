using Flamingo.Client;
using Flamingo.Protos.V1;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;
using Google.Protobuf;
using Grpc.Core;

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

        var bytes = new Prompt().Picture(Example("vqa-shot-1.png")).Text("Question:is there a yellow star? Short answer:no<|endofchunk|>").Picture(Example("vqa-query.png")).Text("Question:how many shapes are there? Short answer:");
        var ids = new Prompt().PictureId(encoded.Pictures[0].Id).Text("Question:is there a yellow star? Short answer:no<|endofchunk|>").PictureId(encoded.Pictures[1].Id).Text("Question:how many shapes are there? Short answer:");
        var byBytes = await client.GenerateAsync(bytes, new Sampling { MaxTokens = 14 }, Cancellation);
        var byIds = await client.GenerateAsync(ids, new Sampling { MaxTokens = 14 }, Cancellation);
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
        var whole = await client.GenerateAsync(prompt, new Sampling { MaxTokens = 14 }, Cancellation);
        var events = await client.StreamAsync(prompt, new Sampling { MaxTokens = 14 }, Cancellation).ToListAsync(Cancellation);
        Assert.Equal(GenerateResponse.EventOneofCase.Pictures, events[0].EventCase);
        Assert.Equal(GenerateResponse.EventOneofCase.Finished, events[^1].EventCase);
        var tokens = events[1..^1];
        Assert.All(tokens, item => Assert.Equal(GenerateResponse.EventOneofCase.Tokens, item.EventCase));
        Assert.True(tokens.Count > 3, "An answer comes token by token.");
        Assert.Equal(whole.Text, string.Concat(tokens.Select(item => item.Tokens.Text)));
        Assert.Equal(whole.Ids, tokens.SelectMany(item => item.Tokens.Ids));
        Assert.Equal((FinishReason.Stop, whole.Ids.Count), (whole.Finished.Reason, whole.Finished.GeneratedTokens));

        // the seed that the gateway drew repeats a sampled answer
        var drawn = await client.GenerateAsync(prompt, new Sampling { MaxTokens = 30, Temperature = 1.5f }, Cancellation);
        Assert.Equal(drawn.Ids, (await client.GenerateAsync(prompt, new Sampling { MaxTokens = 30, Temperature = 1.5f, Seed = drawn.Finished.Seed }, Cancellation)).Ids);
    }

    [Fact(Timeout = 60_000)]
    public async Task Candidates_come_back_in_their_order()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        string[] candidates = [" two", " three", " a small red circle"];
        var ranking = await client.RankAsync(new Prompt().Picture(Episode.Picture("0001.png").Bytes).Text("Question:how many shapes are there? Short answer:"), candidates, Cancellation);
        Assert.Equal(candidates, ranking.Candidates.Select(candidate => candidate.Text));
        Assert.All(ranking.Candidates, candidate => Assert.Equal(candidate.Ids.Count, candidate.TokenLogLikelihoods.Count));
        Assert.All(ranking.Candidates.SelectMany(candidate => candidate.TokenLogLikelihoods), score => Assert.InRange(score, float.MinValue, 0));
    }

    [Fact(Timeout = 60_000)]
    public async Task Tasks_are_asked_in_the_models_own_words_and_their_pictures_travel_once()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address, "tasks");
        var (shot, query) = (Example("vqa-shot-1.png"), Example("vqa-query.png"));
        var request = new AnswerRequest
        {
            Prompt = new() { Visual = new() { Picture = ByteString.CopyFrom(query) }, Examples = { new TaskExample { Visual = new() { Picture = ByteString.CopyFrom(shot) }, Question = "is there a yellow star?", Answer = "no" } } },
            Question = "how many shapes are there?",
        };
        var before = request.Clone();
        var first = await client.AnswerAsync(request, Cancellation);
        var whole = await client.GenerateAsync(
            new Prompt().Picture(shot).Text("Question:is there a yellow star? Short answer:no<|endofchunk|>").Picture(query).Text("Question:how many shapes are there? Short answer:"), cancellation: Cancellation);
        Assert.Equal((whole.Text, whole.Finished.PromptTokens), (first.Text, first.Finished.PromptTokens));
        Assert.Equal(whole.Ids, first.Ids);
        Assert.Equal([PictureSource.Encoded, PictureSource.Encoded], first.Pictures.Pictures.Select(picture => picture.Source));
        var again = await client.AnswerAsync(request, Cancellation); // by id
        Assert.Equal([PictureSource.Memory, PictureSource.Memory], again.Pictures.Pictures.Select(picture => picture.Source));
        Assert.Equal(before, request);

        var caption = await client.CaptionAsync(Example("caption-query.png"), Cancellation);
        Assert.NotEmpty(caption.Text);
        var found = await client.ClassifyAsync(Example("caption-query.png"), ["three hexagons", caption.Text], Cancellation);
        Assert.Equal([(caption.Text, 1), ("three hexagons", 0)], found.Labels.Select(label => (label.Label, label.Index)));
        Assert.Equal(["three hexagons", caption.Text], found.Ranking.Candidates.Select(candidate => candidate.Text));
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => client.AnswerAsync(query, "", Cancellation));
        Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
    }

    [Fact(Timeout = 60_000)]
    public async Task Refusals_are_typed()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var invalid = await Assert.ThrowsAsync<FlamingoException>(() => client.GenerateAsync(new Prompt().Text("<image>"), new Sampling { TopP = 2 }, Cancellation));
        Assert.Equal(StatusCode.InvalidArgument, invalid.StatusCode);
        Assert.Equal(["sampling.top_p", "segments[0].text"], invalid.Faults.Select(fault => fault.Field).Order());
        Assert.All(invalid.Faults, fault => Assert.True(fault.Problem.Length > 0 && fault.Remedy.Length > 0 && !fault.Problem.Contains('\n'), $"{fault}"));

        var (one, other) = (new string('a', 64), new string('b', 64));
        var missing = await Assert.ThrowsAsync<FlamingoException>(() => client.GenerateAsync(
            new Prompt().PictureId(one).PictureId(other).Picture(Episode.Picture("0000.png").Bytes).Text("Output:"), new Sampling(), Cancellation));
        Assert.Equal((StatusCode.NotFound, $"{one} {other}"), (missing.StatusCode, string.Join(' ', missing.MissingPictures)));

        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.GenerateAsync(LongAnswer.Prompt, LongAnswer.Sampling, cancelled.Token));

        using var nobody = new FlamingoClient($"http://localhost:{FreePort.Next()}");
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => nobody.GetModelAsync(Cancellation))).StatusCode);
    }
}
