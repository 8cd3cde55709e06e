#pragma warning disable xUnit1069 // Timely is the token that the analyzer asks for

using Flamingo.Abstractions;
using Flamingo.Gateway.Prompts;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests;

public sealed class GenerationPipelineTests : IAsyncDisposable
{
    private readonly Stage _stage = new();
    private readonly ServiceProvider _services;
    private readonly IFlamingo _flamingo;

    public GenerationPipelineTests()
    {
        _services = _stage.Services(("Gateway:MaxPicturesPerRequest", "6"));
        _flamingo = _services.GetRequiredService<IFlamingo>();
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task Pictures_first_then_tokens_then_the_end()
    {
        var answer = await _flamingo.AskAsync(Picture(1), new FlamingoText("This is"), Picture(2));
        Assert.Equal([PictureId.Of([1]), PictureId.Of([2])],
            Assert.IsType<PicturesResolved>(answer[0]).Pictures.Select(picture => picture.Id));
        Assert.Equal("a dog", string.Concat(answer.OfType<AnswerTokens>().Select(tokens => tokens.Text)));
        var end = Assert.IsType<AnswerFinished>(answer[^1]);
        Assert.Equal((FinishReason.Stop, 7, 3), (end.Reason, end.PromptTokens, end.GeneratedTokens));
        Assert.Equal(new ModelDigests("vision-1", "resampler-1", "language-1"), end.Digests);
        Assert.Equal([2], _stage.Encodes);
        var prompt = _stage.Prompts.Single();
        Assert.Equal(1f, Assert.IsType<PictureSegment>(prompt[0]).Latents!.Tensor.ToFloats()[0]);
        Assert.Equal("This is", Assert.IsType<TextSegment>(prompt[1]).Text);
        Assert.Equal(2f, Assert.IsType<PictureSegment>(prompt[2]).Latents!.Tensor.ToFloats()[0]);
        Assert.True(((PictureSegment)prompt[2]).Latents!.IsIntact());
    }

    [Fact]
    public async Task Second_time_memory_and_the_id_is_enough()
    {
        Assert.Equal([PictureSource.Encoded], await _flamingo.SourcesAsync(Picture(1)));
        Assert.Equal([PictureSource.Memory, PictureSource.Encoded],
            await _flamingo.SourcesAsync(new FlamingoPictureId(PictureId.Of([1])), Picture(2)));
        Assert.Equal([1, 1], _stage.Encodes);
    }

    [Fact]
    public async Task A_picture_keeps_the_time_that_its_encoding_took()
    {
        var first = (PicturesResolved)(await _flamingo.AskAsync(Picture(1)))[0];
        var second = (PicturesResolved)(await _flamingo.AskAsync(Picture(1), Picture(2)))[0];
        var cost = Assert.Single(first.Pictures).Cost;
        Assert.True(cost > TimeSpan.Zero);
        Assert.Equal(cost, second.Pictures[0].Cost);
        Assert.Equal(cost, second.Cache.Saved);
    }

    [Fact]
    public async Task A_picture_repeated_is_encoded_once_and_many_go_in_chunks()
    {
        var sources = await _flamingo.SourcesAsync(Picture(1), Picture(1), Picture(2), Picture(3), Picture(4), Picture(5));
        Assert.All(sources, source => Assert.Equal(PictureSource.Encoded, source));
        Assert.Equal([4, 1], _stage.Encodes);
    }

    [Fact]
    public async Task Unknown_ids_are_all_named()
    {
        string[] unknown = [PictureId.Of([8]), PictureId.Of([9])];
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => _flamingo.AskAsync(new FlamingoPictureId(unknown[0]), Picture(1), new FlamingoPictureId(unknown[1])));
        Assert.Equal(FlamingoErrorKind.NotFound, refusal.Kind);
        Assert.Equal(unknown, refusal.Missing);
        Assert.Empty(_stage.Encodes);
    }

    [Fact]
    public async Task All_faults_at_once()
    {
        var request = new FlamingoRequest(
            [new FlamingoText("an <image>"), new FlamingoPictureId("XYZ"), new FlamingoPicture(new byte[101]),
                .. Enumerable.Repeat(Picture(1), 5)],
            new SamplingParameters { TopP = 2, MaxTokens = 0, Beams = 2, Samples = 3 })
        {
            PinPrefix = TimeSpan.FromMinutes(2), Attention = new AttentionChoice([3], [0]),
        };
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            async () => await _flamingo.GenerateAsync(request, TestContext.Current.CancellationToken).ToListAsync());
        Assert.Equal(FlamingoErrorKind.InvalidArgument, refusal.Kind);
        Assert.Equal(
            ["attention", "attention.layers", "pin_prefix", "sampling.max_tokens", "sampling.samples", "sampling.top_p", "segments",
                "segments[0].text", "segments[1].picture_id", "segments[2].picture"],
            refusal.Faults.Select(fault => fault.Field).Order(StringComparer.Ordinal));
        Assert.Empty(_stage.Encodes);
    }

    [Fact]
    public async Task A_picture_that_cannot_be_decoded_is_named_as_the_caller_sent_it()
    {
        await _flamingo.AskAsync(Picture(1));
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => _flamingo.AskAsync(Picture(1), new FlamingoText("x"), Picture(2), Picture(Stage.Broken)));
        Assert.Equal("segments[3].picture", Assert.Single(refusal.Faults).Field);
        Assert.Equal([PictureSource.Encoded], await _flamingo.SourcesAsync(Picture(2))); // the failure was not cached
    }

    [Fact]
    public async Task A_seed_is_drawn_only_where_it_matters()
    {
        async Task<ulong> SeedAsync(SamplingParameters sampling) =>
            ((AnswerFinished)(await _flamingo.GenerateAsync(new FlamingoRequest([new FlamingoText("x")], sampling),
                TestContext.Current.CancellationToken).ToListAsync())[^1]).Seed;
        Assert.Equal(4711ul, await SeedAsync(new SamplingParameters { Temperature = 1 }));
        Assert.Equal(4711ul, _stage.Sampling!.Seed);
        Assert.Equal(5ul, await SeedAsync(new SamplingParameters { Temperature = 1, Seed = 5 }));
        Assert.Equal(0ul, await SeedAsync(new SamplingParameters()));
    }

    [Fact]
    public async Task What_is_asked_of_the_engine_reaches_it_and_what_it_says_comes_back()
    {
        var request = new FlamingoRequest([Picture(1), new FlamingoText("x")],
            new SamplingParameters { MaxTokens = 4, Samples = 2, LogProbabilities = 1, AllowedTokens = [7] }) {
                PinPrefix = TimeSpan.FromSeconds(30) };
        var answer = await _flamingo.GenerateAsync(request, TestContext.Current.CancellationToken).ToListAsync();
        var asked = _stage.Asked!;
        Assert.Equal(TimeSpan.FromSeconds(30), asked.PinPrefix);
        Assert.Null(asked.Attention);
        Assert.Equal((2, 1, 7), (asked.Sampling.Samples, asked.Sampling.LogProbabilities, asked.Sampling.AllowedTokens.Single()));
        Assert.Equal([0, 1], answer.OfType<AnswerTokens>().Select(tokens => tokens.Sample));
        Assert.Equal(-0.5f, answer.OfType<AnswerTokens>().First().LogProbabilities.Single().LogProbability);
        var end = Assert.IsType<AnswerFinished>(answer[^1]);
        Assert.Equal(5, end.CachedTokens);
        Assert.Equal([0, 1], end.Samples.Select(sample => sample.GeneratedTokens));

        var ranking = await _flamingo.RankAsync(new FlamingoRankRequest([Picture(1)], ["cat"]) { PinPrefix = TimeSpan.FromSeconds(20) },
            TestContext.Current.CancellationToken);
        Assert.Equal(3, ranking.CachedTokens);
        Assert.Equal((asked.Tenant, TimeSpan.FromSeconds(20)), (_stage.Ranked!.Tenant, _stage.Ranked.PinPrefix));
    }

    [Fact]
    public async Task A_tenant_is_told_apart_without_telling_its_salt()
    {
        await _flamingo.AskAsync(new FlamingoText("x"));
        var nobody = _stage.Asked!.Tenant;
        await using var services = _stage.Services(("Gateway:TenantSalt", "secret"));
        await services.GetRequiredService<IFlamingo>().AskAsync(new FlamingoText("x"));
        Assert.NotEqual(nobody, _stage.Asked.Tenant);
        Assert.True(PictureId.IsWellFormed(nobody) && PictureId.IsWellFormed(_stage.Asked.Tenant));
        Assert.DoesNotContain("secret", _stage.Asked.Tenant, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ranking_goes_the_same_way()
    {
        var ranking = await _flamingo.RankAsync(new FlamingoRankRequest([Picture(1), new FlamingoText("a")], ["cat", "dog"]),
            TestContext.Current.CancellationToken);
        Assert.Equal(["cat", "dog"], ranking.Candidates.Select(candidate => candidate.Text));
        Assert.Equal(PictureSource.Encoded, Assert.Single(ranking.Pictures).Source);
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () =>
                _flamingo.RankAsync(new FlamingoRankRequest([new FlamingoText("<image>")], ["", "b"]),
                    TestContext.Current.CancellationToken));
        Assert.Equal(["candidates[0]", "segments[0].text"], refusal.Faults.Select(fault => fault.Field).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Encode_warms_the_cache_and_gives_the_pooled_embedding()
    {
        var encoding = await _flamingo.EncodeAsync(new FlamingoEncodeRequest([Picture(1), Picture(2)], IncludePooled: true),
            TestContext.Current.CancellationToken);
        Assert.Equal([1f, 2f], encoding.Pooled.Select(pooled => pooled.ToFloats()[0]));
        Assert.Equal([PictureSource.Memory], await _flamingo.SourcesAsync(new FlamingoPictureId(encoding.Pictures[1].Id)));
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () =>
                _flamingo.EncodeAsync(new FlamingoEncodeRequest([Picture(0), new FlamingoPicture(new byte[101])]),
                    TestContext.Current.CancellationToken));
        Assert.Equal("pictures[1].picture", Assert.Single(refusal.Faults).Field);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_reader_that_is_behind_holds_no_permit_and_misses_nothing()
    {
        _stage.Says = [.. Enumerable.Repeat(new string('x', 1000), 1000)]; // a megabyte, four times the buffer
        await using var services = _stage.Services(("Gateway:MaxConcurrentRequests", "1"), ("Gateway:MaxQueuedRequests", "8"));
        var flamingo = services.GetRequiredService<IFlamingo>();
        await using var slow = flamingo.GenerateAsync(new FlamingoRequest([new FlamingoText("a")], new()), Timely)
            .GetAsyncEnumerator(Timely);
        Assert.True(await slow.MoveNextAsync());
        await flamingo.EncodeAsync(new FlamingoEncodeRequest([Picture(1)]), Timely); // the only permit
        var texts = 0;
        while (await slow.MoveNextAsync()) texts += slow.Current is AnswerTokens ? 1 : 0;
        Assert.Equal(1000, texts);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_reader_that_stops_reading_is_aborted()
    {
        _stage.Says = [.. Enumerable.Repeat(new string('x', 1000), 1000)];
        await using var services = _stage.Services(("Gateway:WriteStallTimeout", "00:00:00.200"));
        var flamingo = services.GetRequiredService<IFlamingo>();
        await using var stalled =
            flamingo.GenerateAsync(new FlamingoRequest([new FlamingoText("a")], new()), Timely).GetAsyncEnumerator(Timely);
        Assert.True(await stalled.MoveNextAsync());
        while (!_stage.Logged.Any(line => line.Text.Contains("its caller read nothing", StringComparison.Ordinal)))
            await Task.Delay(20, Timely);
        var aborted = await Assert.ThrowsAsync<FlamingoException>(() => stalled.MoveNextAsync().AsTask());
        Assert.Equal(FlamingoErrorKind.Aborted, aborted.Kind);
        Assert.Contains("Gateway:WriteStallTimeout", aborted.Message, StringComparison.Ordinal);
    }

    private static CancellationToken Timely => TestContext.Current.CancellationToken;
}
