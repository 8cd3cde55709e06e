using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Testing;
using Flamingo.Transport.Wire;

namespace Flamingo.Transport.Tests.Serving;

/// <summary>A stage behind gRPC behaves like a stage in this process.</summary>
public sealed class RemoteStageTests
{
    private const int Limit = 30_000;

    private static readonly LanguageModelRequest Request = new(
        [new TextSegment("see "), new PictureSegment(new string('a', 64),
            ChecksummedLatents.Of(TensorData.FromFloats([1, 2, 3, 4], 2, 2)))], new SamplingParameters { MaxTokens = 3, Seed = 7 })
    {
        Tenant = "t", PinPrefix = TimeSpan.FromSeconds(30), Attention = new AttentionChoice([0], []),
    };

    [Fact(Timeout = Limit)]
    public async Task A_stream_arrives_as_it_left_and_so_does_its_request()
    {
        AnswerEvent[] events = [new AnswerTokens("a", [1]), new AnswerTokens("", [2, 3]),
            AnswerFinished.OfLanguageModel(FinishReason.Stop, 5, 3, TimeSpan.FromMilliseconds(
                1.5), TimeSpan.FromTicks(1), TimeSpan.Zero, "l1")];
        var model = new ScriptedLanguageModel { Script = (_, _) => events.ToAsyncEnumerable() };
        await using var server = await LoopbackServer.StartAsync(model);
        Same.Content(events, await server.LanguageModel.GenerateAsync(Request, TestContext.Current.CancellationToken).ToListAsync());
        Same.Content(Request, model.Asked);
    }

    [Fact(Timeout = Limit)]
    public async Task A_picture_without_latents_keeps_the_checksum_of_its_value_and_one_of_an_older_gateway_has_that_of_its_latents()
    {
        var model = new ScriptedLanguageModel { Script = (_, _) => AsyncEnumerable.Empty<AnswerEvent>() };
        await using var server = await LoopbackServer.StartAsync(model);
        var sent = (PictureSegment)Request.Segments[1];
        var request = Request with { Segments = [sent with { Latents = null }, sent] };
        await server.LanguageModel.GenerateAsync(request, TestContext.Current.CancellationToken).ToListAsync();
        Assert.All(Pictures(), picture => Assert.Equal(sent.Latents!.Checksum.ToArray(), picture.Checksum.ToArray()));
        Assert.Equal([false, true], Pictures().Select(picture => picture.Latents is not null));

        // the same messages without the new field
        var old = request.ToMessage();
        foreach (var segment in old.Segments) segment.Picture.Checksum = Google.Protobuf.ByteString.Empty;
        using var channel = Grpc.Net.Client.GrpcChannel.ForAddress($"http://127.0.0.1:{server.Port}");
        using var call = new Protos.V1.LanguageModel.LanguageModelClient(channel).Generate(
            old, cancellationToken: TestContext.Current.CancellationToken);
        Assert.False(await call.ResponseStream.MoveNext(TestContext.Current.CancellationToken));
        Assert.Equal([0, 32], Pictures().Select(picture => picture.Checksum.Length));

        IEnumerable<PictureSegment> Pictures() => model.Asked!.Segments.Cast<PictureSegment>();
    }

    [Fact(Timeout = Limit)]
    public async Task Unary_calls_answer_with_the_same_records()
    {
        await using var server = await LoopbackServer.StartAsync(new ScriptedLanguageModel { Script = ScriptedLanguageModel.Endless });
        Same.Content(Records.Language, await server.LanguageModel.DescribeAsync(TestContext.Current.CancellationToken));
        Same.Content(Records.Resampler, await server.Resampler.DescribeAsync(TestContext.Current.CancellationToken));
        Assert.Equal(["b", "cc"], (await server.LanguageModel.RankAsync(new RankRequest(Request.Segments, ["b", "cc"]),
            TestContext.Current.CancellationToken)).Candidates.Select(candidate => candidate.Text));
    }

    [Fact(Timeout = Limit)]
    public async Task A_tensor_larger_than_the_servers_default_limits_passes()
    {
        await using var server = await LoopbackServer.StartAsync(new ScriptedLanguageModel { Script = ScriptedLanguageModel.Endless });
        // By default, Kestrel limits requests to 30 MB and gRPC limits messages to 4 MiB.
        var features = new TensorData(TensorDtype.Float32, [1, 3000, 3000], new byte[36_000_000]);
        var latents = Assert.Single((await server.Resampler.ResampleAsync(new ResampleRequest([features]),
            TestContext.Current.CancellationToken)).Latents);
        Assert.Equal(features.Bytes.Length, latents.Bytes.Length);
    }

    [Fact(Timeout = Limit)]
    public async Task Cancelling_reaches_the_stage()
    {
        var model = new ScriptedLanguageModel { Script = ScriptedLanguageModel.Endless };
        await using var server = await LoopbackServer.StartAsync(model);
        using var source = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in server.LanguageModel.GenerateAsync(Request, source.Token)) await source.CancelAsync();
        });
        await model.Ended.Task.WaitAsync(TestContext.Current.CancellationToken);
    }

    [Fact(Timeout = Limit)]
    public async Task Leaving_a_stream_half_read_ends_it_at_the_stage()
    {
        var model = new ScriptedLanguageModel { Script = ScriptedLanguageModel.Endless };
        await using var server = await LoopbackServer.StartAsync(model);
        await foreach (var _ in server.LanguageModel.GenerateAsync(Request, TestContext.Current.CancellationToken)) break;
        await model.Ended.Task.WaitAsync(TestContext.Current.CancellationToken);
    }

    [Fact(Timeout = Limit)]
    public async Task A_server_that_dies_in_mid_answer_is_unavailable()
    {
        await using var server = await LoopbackServer.StartAsync(new ScriptedLanguageModel { Script = ScriptedLanguageModel.Endless });
        var failure = await Assert.ThrowsAsync<FlamingoException>(async () =>
        {
            await foreach (var _ in server.LanguageModel.GenerateAsync(Request, TestContext.Current.CancellationToken))
                await server.StopAsync();
        });
        Assert.Equal(FlamingoErrorKind.Unavailable, failure.Kind);
        Assert.Equal(FlamingoErrorKind.Unavailable,
            (await Assert.ThrowsAsync<FlamingoException>(
                () => server.Resampler.DescribeAsync(TestContext.Current.CancellationToken))).Kind);
    }

    [Fact(Timeout = Limit)]
    public async Task A_refusal_keeps_its_kind_and_details()
    {
        var model = new ScriptedLanguageModel {
            Script = (_, _) =>
                throw new FlamingoException(FlamingoErrorKind.LatentsMissing,
                    "Send them.") { Missing = ["k1", "k2"], RetryAfter = TimeSpan.FromSeconds(2) } };
        await using var server = await LoopbackServer.StartAsync(model);
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            async () => await server.LanguageModel.GenerateAsync(Request, TestContext.Current.CancellationToken).ToListAsync());
        Assert.Equal(FlamingoErrorKind.LatentsMissing, refusal.Kind);
        Assert.Equal(["k1", "k2"], refusal.Missing);
        Assert.Equal(TimeSpan.FromSeconds(2), refusal.RetryAfter);
    }

    [Fact(Timeout = Limit)]
    public async Task An_unexpected_failure_is_internal_and_keeps_its_insides()
    {
        await using var server = await LoopbackServer.StartAsync(new ScriptedLanguageModel { Script = ScriptedLanguageModel.Endless });
        var failure = await Assert.ThrowsAsync<FlamingoException>(
            () => server.LanguageModel.TokenizeAsync(Request.Segments, TestContext.Current.CancellationToken));
        Assert.Equal(FlamingoErrorKind.Internal, failure.Kind);
        Assert.DoesNotContain("secret", failure.ToString());
    }
}
