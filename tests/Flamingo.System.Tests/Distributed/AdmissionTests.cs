using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.SystemTests.Episodes;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// A gateway that serves one request at a time refuses further requests with a retry delay, and a cancelled request frees its
/// place.
/// </summary>
public sealed class AdmissionTests(Stack shared) : HostTests(shared)
{
    private static readonly (string, string)[] OneAtATime = [("Gateway__MaxConcurrentRequests", "1"), ("Gateway__MaxQueuedRequests", "0")];

    [Fact(Timeout = 120_000)]
    public async Task One_too_many_is_told_when_to_return()
    {
        var gateway = await StartGatewayAsync(options: OneAtATime);
        using var client = new FlamingoClient(gateway.Address);
        using var answer = new LongAnswer(gateway.Address);
        await answer.Begun;

        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => client.CompleteAsync(LongAnswer.Prompt, cancellation: Cancellation));
        Assert.Equal(FlamingoErrorKind.Overloaded, refused.Kind);
        Assert.InRange(refused.RetryAfter!.Value, TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(1));
        Assert.NotNull(((RpcException)refused.InnerException!).GetRpcStatus()!.GetDetail<RetryInfo>());
        Assert.Equal(FlamingoErrorKind.Overloaded,
            (await Assert.ThrowsAsync<FlamingoException>(() => client.RankAsync(LongAnswer.Prompt, ["a"], Cancellation))).Kind);
        Assert.Equal(FlamingoErrorKind.Overloaded,
            (await Assert.ThrowsAsync<FlamingoException>(
                () => client.EncodeAsync([Episode.Picture("0040.png").Bytes], cancellation: Cancellation))).Kind);
        Assert.False(answer.Finished.IsCompleted); // the running request is not affected
        answer.Cancel();
        await AdmittedAsync(client);
    }

    [Fact(Timeout = 120_000)]
    public async Task A_language_model_with_no_room_says_so_through_the_gateway()
    {
        var language = await StartReadyAsync("LanguageModel", null, ("LanguageModel__MaxSequences", "1"),
            ("LanguageModel__MaxSamples", "1"), ("LanguageModel__MaxQueued", "1"));
        var gateway = await StartGatewayAsync(language: language.Port);
        using var taken = new LongAnswer(gateway.Address);
        await taken.Begun;

        // One of these requests is queued, the other one exceeds the limit.
        using var one = new LongAnswer(gateway.Address);
        using var other = new LongAnswer(gateway.Address);
        var refused = await Assert.ThrowsAsync<RpcException>(async () => await await Task.WhenAny(one.Finished, other.Finished));
        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.True(refused.GetRpcStatus()!.GetDetail<RetryInfo>()!.RetryDelay.ToTimeSpan() > TimeSpan.Zero);
    }

    [Theory(Timeout = 120_000)]
    [InlineData("cancels")]
    [InlineData("disconnects")]
    [InlineData("runs out of time")]
    public async Task A_caller_who_leaves_in_mid_answer_leaves_nothing_running(string how)
    {
        var gateway = await StartGatewayAsync(options: OneAtATime);
        using var client = new FlamingoClient(gateway.Address);
        using var answer = new LongAnswer(gateway.Address, how == "runs out of time" ? 1.5 : 120);
        await answer.Begun;
        if (how == "cancels") answer.Cancel();
        if (how == "disconnects") answer.Disconnect();
        Assert.Equal(how == "runs out of time" ? StatusCode.DeadlineExceeded : StatusCode.Cancelled, await answer.StatusAsync());
        Assert.InRange(answer.Received, 1, LongAnswer.Tokens - 1);
        await AdmittedAsync(client);

        // The language model is free too; otherwise this answer would wait for all tokens of the abandoned one.
        using var next = new LongAnswer(Shared.Gateway.Address);
        await next.Begun;
    }

    [Fact(Timeout = 120_000)]
    public async Task A_deadline_passes_though_a_stage_hangs()
    {
        var gateway = await StartGatewayAsync(options: OneAtATime);
        using var client = new FlamingoClient(gateway.Address);
        await client.GetModelAsync(Cancellation); // the gateway knows the stages
        Shared.VisionEncoder.Freeze();
        try
        {
            using var channel = GrpcChannel.ForAddress(gateway.Address);
            var picture = ByteString.CopyFrom(Episode.Picture("0041.png").Bytes.Span);
            var late = await Assert.ThrowsAsync<RpcException>(
                () =>
                    new V1.Flamingo.FlamingoClient(channel).EncodeAsync(
                        new V1.EncodeRequest { Pictures = { new V1.Visual { Picture = picture } } },
                        deadline: Deadline.In(1)).ResponseAsync);
            Assert.Equal(StatusCode.DeadlineExceeded, late.StatusCode);
            await AdmittedAsync(client);
        }
        finally
        {
            Shared.VisionEncoder.Resume();
        }

        Assert.Single((await client.EncodeAsync([Episode.Picture("0041.png").Bytes], cancellation: Cancellation)).Pictures);
    }

    // The permit is released when the gateway notices the cancellation, which takes a moment.
    private static async Task AdmittedAsync(FlamingoClient client)
    {
        while (true)
        {
            try
            {
                Assert.Equal(2, (await client.CompleteAsync(LongAnswer.Prompt, new SamplingParameters { MaxTokens = 2 },
                    Cancellation)).Ids.Count);
                return;
            }
            catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.Overloaded)
            {
                Cancellation.ThrowIfCancellationRequested();
            }
        }
    }
}
