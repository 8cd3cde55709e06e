using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Fixtures;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;
using Flamingo.Wire;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>If a stage is missing, dies or hangs, requests fail with UNAVAILABLE in time, and succeed once the stage is back.</summary>
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
        using var hanging = new V1.Flamingo.FlamingoClient(channel).EncodeAsync(
            new V1.EncodeRequest { Pictures =
                { new V1.Visual { Picture = Google.Protobuf.ByteString.CopyFrom(Episode.Picture("0011.png").Bytes.Span) } } },
                deadline: Deadline.In(30));
        // Cached pictures and prompts without pictures do not need a vision encoder.
        await client.CompleteAsync(new Prompt().Picture(Episode.Picture("0010.png").Bytes).Text("Output:"),
            new SamplingParameters { MaxTokens = 4 }, Cancellation);
        await client.CompleteAsync(new Prompt().Text("Output:"), new SamplingParameters { MaxTokens = 4 }, Cancellation);
        Assert.False(hanging.ResponseAsync.IsCompleted);

        await vision.KillAsync();
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => hanging.ResponseAsync)).StatusCode);
        await StartReadyAsync("VisionEncoder", vision.Port);
        var encoded = await client.EncodeAsync([Episode.Picture("0011.png").Bytes], cancellation: Cancellation);
        Assert.Equal(PictureSource.Encoded, Assert.Single(encoded.Pictures).Source);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_stage_that_is_gone_is_named_with_its_address_and_not_the_gateways()
    {
        var port = FreePort.Next();
        var gateway = await StartGatewayAsync(language: port);
        using var client = new FlamingoClient(gateway.Address);
        var prompt = new Prompt().Text("Output:");
        var gone = await Assert.ThrowsAsync<FlamingoException>(() => client.CompleteAsync(prompt, cancellation: Cancellation));
        Assert.StartsWith($"LanguageModel at http://localhost:{port} cannot be reached: ", gone.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("Check the address", gone.Message, StringComparison.Ordinal);
        var same = await Assert.ThrowsAsync<FlamingoException>(() => client.RankAsync(prompt, ["a"], Cancellation));
        Assert.Equal(gone.Message, same.Message);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_client_waits_for_a_gateway_that_is_just_being_started_and_then_names_its_address()
    {
        var port = FreePort.Next();
        var address = $"http://localhost:{port}";
        // a busy machine starts it later than the five seconds that a client waits by itself
        var patient = new FlamingoClientOptions { Addresses = [address], WaitForServer = TimeSpan.FromSeconds(45) };
        using var early = new FlamingoClient(patient);
        var asking = early.SupportSets.PutAsync("late", [(Episode.Picture("0010.png").Bytes, "a")], cancellation: Cancellation);
        var stages = Stack.StagesAt(Shared.VisionEncoder.Port, Shared.Resampler.Port, Shared.LanguageModel.Port);
        var gateway = await StartReadyAsync("Gateway", port, stages);
        await asking;
        await gateway.KillAsync();
        using var client = new FlamingoClient(address);
        var gone = await Assert.ThrowsAsync<FlamingoException>(() => client.GetModelAsync(Cancellation));
        Assert.StartsWith($"The server at {address} cannot be reached: ", gone.Message, StringComparison.Ordinal);
    }

    private static async Task<StatusCode> StatusAsync(HostProcess gateway)
    {
        using var channel = GrpcChannel.ForAddress(gateway.Address);
        using var call = new V1.Flamingo.FlamingoClient(channel).Generate(
            new FlamingoRequest(LongAnswer.Prompt.Segments, new() { MaxTokens = 2 }).ToMessage(), deadline: Deadline.In(30));
        try
        {
            while (await call.ResponseStream.MoveNext(Cancellation))
                Assert.NotEqual(V1.GenerateResponse.EventOneofCase.None, call.ResponseStream.Current.EventCase);
        }
        catch (RpcException exception)
        {
            return exception.StatusCode;
        }

        return call.GetStatus().StatusCode;
    }
}
