using Flamingo.Fixtures;
using Flamingo.Testing;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Status = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>What the health service of real processes says when a stage is away, and what becomes of a stuck process.</summary>
public sealed class HealthTests(Stack shared) : HostTests(shared)
{
    [Fact(Timeout = 120_000)]
    public async Task A_gateway_without_a_stage_is_live_and_not_ready_until_the_stage_is_back()
    {
        var port = FreePort.Next();
        var gateway = await StartGatewayAsync(resampler: port);
        using var channel = GrpcChannel.ForAddress(gateway.Address);
        var health = new Health.HealthClient(channel);
        using var watch = health.Watch(new HealthCheckRequest(), cancellationToken: Cancellation);
        await SeenAsync(watch, Status.NotServing);
        Assert.Equal(Status.NotServing, await CheckAsync(health, "flamingo.ready"));
        Assert.Equal(Status.Serving, await CheckAsync(health, "flamingo.live"));
        await gateway.SaidAsync("[1005] The service is not ready: Resampler at");

        var resampler = await StartReadyAsync("Resampler", port);
        await SeenAsync(watch, Status.Serving);
        Assert.Equal((Status.Serving, Status.Serving), (await CheckAsync(health, ""), await CheckAsync(health, "flamingo.live")));

        resampler.Freeze(); // a stage that hangs is not ready either, within the probe's own deadline
        await SeenAsync(watch, Status.NotServing);
        Assert.Equal((Status.NotServing, Status.Serving), (await CheckAsync(health, ""), await CheckAsync(health, "flamingo.live")));
        resampler.Resume();
        await SeenAsync(watch, Status.Serving);
    }

    [Fact(Timeout = 120_000)]
    public async Task A_stuck_process_says_what_is_stuck_and_ends_with_an_exit_code()
    {
        // One tenth of a second is less than the decoding of a large picture takes.
        var vision = await StartReadyAsync("VisionEncoder", null, ("Health__LiveTimeout", "100ms"), ("Health__ExitTimeout", "100ms"));
        using var channel = GrpcChannel.ForAddress(vision.Address);
        var request = new V1.EncodePicturesRequest();
        request.Pictures.Add(new V1.VisualInput { Files = { ByteString.CopyFrom(LargePicture.Png(1)) } });
        var call = new V1.VisionEncoder.VisionEncoderClient(channel).EncodeAsync(request, cancellationToken: Cancellation).ResponseAsync;
        Assert.Equal(71, await vision.ExitAsync());
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => call)).StatusCode);
        await vision.SaidAsync("[1010] The process ends with exit code 71 (Health:ExitTimeout). One unit of work of decoder ");
    }

    private static async Task<Status> CheckAsync(Health.HealthClient health, string service)
    {
        var request = new HealthCheckRequest { Service = service };
        return (await health.CheckAsync(request, deadline: Deadline.In(8), cancellationToken: Cancellation)).Status;
    }

    // Watch may report a status twice.
    private static async Task SeenAsync(AsyncServerStreamingCall<HealthCheckResponse> watch, Status status)
    {
        do Assert.True(await watch.ResponseStream.MoveNext(Cancellation));
        while (watch.ResponseStream.Current.Status != status);
    }
}
