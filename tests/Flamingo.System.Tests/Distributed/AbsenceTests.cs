using Flamingo.Client;
using Flamingo.Protos.V1;
using Flamingo.SystemTests.Episodes;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A stage that is not there, dies or hangs: UNAVAILABLE in time, and all is well once it is back.</summary>
public sealed class AbsenceTests(Stack shared) : HostTests(shared)
{
    [Fact(Timeout = 120_000)]
    public async Task A_language_model_may_be_late_and_may_die_in_mid_answer()
    {
        var port = FreePort.Next();
        var gateway = await StartGatewayAsync(language: port);
        Assert.Equal(StatusCode.Unavailable, await StatusAsync(gateway));

        var language = await StartReadyAsync("LanguageModel", port);
        Assert.Equal(StatusCode.OK, await StatusAsync(gateway));

        using (var answer = new LongAnswer(gateway.Address, deadlineSeconds: 60))
        {
            await answer.Begun;
            await language.KillAsync();
            Assert.Equal(StatusCode.Unavailable, await answer.StatusAsync());
            Assert.InRange(answer.Received, 1, LongAnswer.Tokens - 1);
        }

        Assert.Equal(StatusCode.Unavailable, await StatusAsync(gateway));
        await StartReadyAsync("LanguageModel", port);
        Assert.Equal(StatusCode.OK, await StatusAsync(gateway));
    }

    [Fact(Timeout = 120_000)]
    public async Task A_vision_encoder_that_hangs_and_dies_costs_its_own_requests_alone()
    {
        var vision = await StartReadyAsync("VisionEncoder");
        var gateway = await StartGatewayAsync(vision: vision.Port);
        using var client = new FlamingoClient(gateway.Address);
        await client.EncodeAsync([Episode.Picture("0010.png").Bytes], cancellation: Cancellation);

        vision.Freeze();
        using var channel = GrpcChannel.ForAddress(gateway.Address);
        using var hanging = new V1.Flamingo.FlamingoClient(channel).EncodeAsync(new EncodeRequest { Pictures = { new Visual { Picture = Google.Protobuf.ByteString.CopyFrom(Episode.Picture("0011.png").Bytes.Span) } } }, deadline: Deadline.In(30));
        // pictures in the cache and prompts without any need no vision encoder
        await client.GenerateAsync(new Prompt().Picture(Episode.Picture("0010.png").Bytes).Text("Output:"), new Sampling { MaxTokens = 4 }, Cancellation);
        await client.GenerateAsync(new Prompt().Text("Output:"), new Sampling { MaxTokens = 4 }, Cancellation);
        Assert.False(hanging.ResponseAsync.IsCompleted);

        await vision.KillAsync();
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => hanging.ResponseAsync)).StatusCode);
        await StartReadyAsync("VisionEncoder", vision.Port);
        var encoded = await client.EncodeAsync([Episode.Picture("0011.png").Bytes], cancellation: Cancellation);
        Assert.Equal(PictureSource.Encoded, Assert.Single(encoded.Pictures).Source);
    }

    private static async Task<StatusCode> StatusAsync(HostProcess gateway)
    {
        using var channel = GrpcChannel.ForAddress(gateway.Address);
        using var call = new V1.Flamingo.FlamingoClient(channel).Generate(new GenerateRequest { Segments = { LongAnswer.Prompt.Segments }, Sampling = new Sampling { MaxTokens = 2 } }, deadline: Deadline.In(30));
        try
        {
            while (await call.ResponseStream.MoveNext(Cancellation)) Assert.NotEqual(GenerateResponse.EventOneofCase.None, call.ResponseStream.Current.EventCase);
        }
        catch (RpcException exception)
        {
            return exception.StatusCode;
        }

        return call.GetStatus().StatusCode;
    }
}
