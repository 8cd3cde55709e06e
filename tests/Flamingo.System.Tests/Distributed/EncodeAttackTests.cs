using System.Diagnostics;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.SystemTests.Episodes;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A caller who asks for very large pictures and leaves again and again, and a neighbour.</summary>
public sealed class EncodeAttackTests(Stack shared) : HostTests(shared)
{
    private const int Attacks = 20, Pictures = 16;
    private const long DecodeMemory = 50_000_000L * 20 * 2, Margin = 256 << 20;

    [Fact(Timeout = 120_000)]
    public async Task Cancelled_large_pictures_do_not_delay_a_neighbour_and_leave_nothing_behind()
    {
        using var redis = new RespServer();
        var vision = await StartReadyAsync("VisionEncoder", null, ("VisionEncoder__MaxDecodes", "2"));
        var gateway = await StartGatewayAsync(vision: vision.Port, options:
        [
            ("Redis__ConnectionString", redis.Address), ("Gateway__MaxConcurrentRequests", "1"), ("Gateway__MaxQueuedRequests", "0"),
        ]);
        using var neighbour = new FlamingoClient(new FlamingoClientOptions { Addresses = [gateway.Address], Tenant = "neighbour" });
        await neighbour.EncodeAsync([Episode.Picture("0060.png").Bytes], cancellation: Cancellation);
        var undisturbed = Stopwatch.StartNew();
        await neighbour.EncodeAsync([Episode.Picture("0067.png").Bytes], cancellation: Cancellation);
        var longest = TimeSpan.FromSeconds(10) + (30 * undisturbed.Elapsed); // a busy machine delays others without an attack too
        var before = vision.PeakMemory;
        var requests = Enumerable.Range(0, Attacks).Select(attack => Request(attack * Pictures)).ToList();

        using var channel = GrpcChannel.ForAddress(gateway.Address);
        var attacker = new V1.Flamingo.FlamingoClient(channel);
        var slowest = TimeSpan.Zero;
        foreach (var (attack, request) in requests.Index())
        {
            var left = await Assert.ThrowsAsync<RpcException>(
                () => attacker.EncodeAsync(request, deadline: Deadline.In(0.3), cancellationToken: Cancellation).ResponseAsync);
            // The gateway may still return the permit of the last attack.
            Assert.Contains(left.StatusCode, new[] { StatusCode.DeadlineExceeded, StatusCode.ResourceExhausted });
            if (attack % 5 != 4) continue;
            var clock = Stopwatch.StartNew();
            await neighbour.EncodeAsync([Episode.Picture($"006{attack / 5 + 1}.png").Bytes], cancellation: Cancellation);
            slowest = clock.Elapsed > slowest ? clock.Elapsed : slowest;
        }

        TestContext.Current.TestOutputHelper!.WriteLine(
            $"The neighbour's slowest new picture took {slowest.TotalSeconds:0.0} s; the vision encoder grew by "
            + $"{(vision.PeakMemory - before) >> 20} MiB.");
        Assert.InRange(slowest, TimeSpan.Zero, longest);
        Assert.InRange(vision.PeakMemory - before, 0, DecodeMemory + Margin);

        // The attacker's own permit is back, too: the gateway admits one request at a time of a tenant.
        await neighbour.EncodeAsync([Episode.Picture("0066.png").Bytes], cancellation: Cancellation);
        while (true)
        {
            try
            {
                await attacker.EncodeAsync(new V1.EncodeRequest { Pictures = { Visual(Episode.Picture("0066.png").Bytes.ToArray()) } },
                    cancellationToken: Cancellation);
                break;
            }
            catch (RpcException exception) when (exception.StatusCode == StatusCode.ResourceExhausted)
            {
                Cancellation.ThrowIfCancellationRequested();
            }
        }

        using var stage = GrpcChannel.ForAddress(vision.Address);
        var statistics = await new V1.VisionEncoder.VisionEncoderClient(stage).GetStatisticsAsync(new(), cancellationToken: Cancellation);
        Assert.InRange((int)statistics.Pictures, 7, 8); // the neighbour's, and the last one of whoever asked first
        await using var connection = await redis.ConnectAsync();
        while (connection.GetServers()[0].Keys(pattern: "lease:*").Any()) Cancellation.ThrowIfCancellationRequested();
    }

    private static V1.EncodeRequest Request(int first)
    {
        var request = new V1.EncodeRequest();
        request.Pictures.AddRange(Enumerable.Range(first, Pictures).Select(number => Visual(LargePicture.Png(number))));
        return request;
    }

    private static V1.Visual Visual(byte[] picture) => new() { Picture = UnsafeByteOperations.UnsafeWrap(picture) };
}
