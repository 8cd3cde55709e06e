using Flamingo.Checkpoints;
using Flamingo.Protos.V1;
using Flamingo.Testing;
using Google.Protobuf;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A process logs at its start: model, digests, dtype, device, threads, memory and endpoints.</summary>
public sealed class StartUpTests(Stack shared) : HostTests(shared)
{
    [Fact(Timeout = 120_000)]
    public async Task Every_stage_tells_what_it_computes_with()
    {
        foreach (var (stage, name) in new[]
            { (Shared.VisionEncoder, "vision encoder"), (Shared.Resampler, "resampler"), (Shared.LanguageModel, "language model") })
        {
            var folder = RepositoryFiles.Path("models", "shapes");
            await stage.SaidAsync(
                $"[2001] Model flamingo-shapes is read from {folder} and computed in float32, matrices held as native, with 1 compute "
                + "threads");
            await stage.SaidAsync($"[2002] Memory held: {name}: weights ");
            await stage.SaidAsync($"[2003] The {name} computes on cpu with the weights ");
        }
    }

    [Fact(Timeout = 120_000)]
    public async Task The_language_model_tells_its_digest_and_its_room()
    {
        var weights = ModelDirectory.Open(RepositoryFiles.Path("models", "shapes")).Config.Weights["language"];
        await Shared.LanguageModel.SaidAsync($"with the weights {weights.Digest}.");
        await Shared.LanguageModel.SaidAsync("[5001] The language model reads at most 2048 tokens. It has memory for ");
    }

    [Fact(Timeout = 120_000)]
    public async Task Options_show_in_what_is_told()
    {
        var language = await StartReadyAsync("LanguageModel", null,
            ("Model__Dtype", "bf16"), ("Model__WeightStorage", "int8"), ("LanguageModel__MaxQueued", "7"));
        await language.SaidAsync("computed in bfloat16, matrices held as int8");
        await language.SaidAsync("lets up to 7 requests wait.");
    }

    [Fact(Timeout = 120_000)]
    public async Task Every_process_tells_its_endpoint_and_its_end()
    {
        foreach (var process in Shared.All) await process.SaidAsync($"serves gRPC (HTTP/2, without TLS) on {process.Address}.");
        var ending = await StartReadyAsync("Resampler");
        ending.AskToStop();
        await ending.SaidAsync("[1004] The service has stopped.");
        Assert.Equal(0, await ending.ExitAsync());
    }

    [Fact(Timeout = 120_000)]
    public async Task A_step_of_an_answer_is_told_where_debugging_is_on()
    {
        var (vision, resampler, language) = (
            await StartReadyAsync("VisionEncoder", null, ("Logging__LogLevel__Flamingo", "Debug")),
            await StartReadyAsync("Resampler", null, ("Logging__LogLevel__Flamingo", "Debug")),
            await StartReadyAsync("LanguageModel", null, ("Logging__LogLevel__Flamingo", "Debug")));
        var gateway = await StartGatewayAsync(vision.Port, resampler.Port, language.Port);
        using var channel = GrpcChannel.ForAddress(gateway.Address);
        var picture = await File.ReadAllBytesAsync(RepositoryFiles.Path("models", "shapes", "examples", "caption-query.png"), Cancellation);
        var request = new EncodeRequest { Pictures = { new Visual { Picture = ByteString.CopyFrom(picture) } } };
        await new V1.Flamingo.FlamingoClient(channel).EncodeAsync(request, cancellationToken: Cancellation);
        using (var answer = new LongAnswer(gateway.Address)) await answer.Finished;
        await vision.SaidAsync("[3002] A forward pass of 1 frames took ");
        await resampler.SaidAsync("[4002] A forward pass of 1 pictures took ");
        await language.SaidAsync("[5103] A request was admitted: ");
        await language.SaidAsync("[5104] A request finished after ");
    }
}
