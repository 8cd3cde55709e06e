using Flamingo.Protos.V1;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Transport.Tests.Serving.Arrival;

/// <summary>The bytes of requests are admitted before they are held, and are given back when the call has ended.</summary>
public sealed class FloodTests
{
    private const string Encode = "flamingo.v1.Flamingo/Encode";
    private const int Limit = 60_000, MiB = 1 << 20;

    [Fact(Timeout = Limit)]
    public async Task Eight_requests_of_300_MB_are_refused_without_being_held()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await ArrivalServer.StartAsync();
        using var memory = new MemoryWatch();
        var attacks = Enumerable.Range(0, 8)
            .Select(index => server.CallAsync(
                Encode, StreamedBody.Pictures(300_000_000), cancellation, ("flamingo-tenant", $"attacker-{index % 2}"))).ToList();
        await Neighbour.AskAsync(server, cancellation);
        foreach (var status in await Task.WhenAll(attacks))
        {
            // Larger than half of a tenant's share, so that waiting does not help.
            Assert.Equal(StatusCode.ResourceExhausted, status.Code);
            Assert.Contains("Requests:MaxInFlightBytes", status.Message, StringComparison.Ordinal);
            Assert.Null(status.Details!.GetDetail<RetryInfo>());
        }

        Assert.InRange(memory.Growth, 0, 256L * MiB);
        AssertAllBack(server);
        Assert.Equal(0, server.Flamingo.Begun);
    }

    [Fact(Timeout = Limit)]
    public async Task What_does_not_fit_at_present_is_told_when_to_come_again_and_neighbours_are_answered()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await ArrivalServer.StartAsync(bytesInFlight: 256 * MiB);
        server.Flamingo.Gate = gate.Task;
        using var memory = new MemoryWatch();
        var attacks = Enumerable.Range(0, 8)
            .Select(index => server.CallAsync(
                Encode, StreamedBody.Pictures(60 * MiB), cancellation, ("flamingo-tenant", $"attacker-{index}"))).ToList();
        // Each takes 120 MiB while it arrives and 60 MiB while it is answered, and large requests may take 240 MiB together.
        await WaitForAsync(() => attacks.Count(attack => attack.IsCompleted) + server.Flamingo.Begun == attacks.Count, cancellation);
        await Neighbour.AskAsync(server, cancellation);
        var held = server.Flamingo.Begun;
        Assert.InRange(held, 1, 3);
        Assert.Equal(held, server.Budget.Tenants);
        Assert.InRange(server.Budget.InFlight, held * 60L * MiB, (held * 60L * MiB) + MiB);

        gate.SetResult();
        var answers = await Task.WhenAll(attacks);
        Assert.Equal(held, answers.Count(status => status.Code == StatusCode.OK));
        Assert.All(answers.Where(status => status.Code != StatusCode.OK), status =>
        {
            Assert.Equal(StatusCode.ResourceExhausted, status.Code);
            Assert.Equal(TimeSpan.FromSeconds(1), status.Details!.GetDetail<RetryInfo>()!.RetryDelay.ToTimeSpan());
        });
        Assert.InRange(memory.Growth, 0, 512L * MiB);
        AssertAllBack(server);
        Assert.Equal(StatusCode.OK, (await server.CallAsync(Encode, StreamedBody.Pictures(60 * MiB), cancellation)).Code);
    }

    [Fact(Timeout = Limit)]
    public async Task One_tenant_takes_half_at_most()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await ArrivalServer.StartAsync(bytesInFlight: 64 * MiB);
        server.Flamingo.Gate = gate.Task;
        var first = server.CallAsync(Encode, StreamedBody.Pictures(14 * MiB), cancellation, ("flamingo-tenant", "one"));
        await WaitForAsync(() => server.Flamingo.Begun == 1, cancellation);
        var second = await server.CallAsync(Encode, StreamedBody.Pictures(12 * MiB), cancellation, ("flamingo-tenant", "one"));
        Assert.Equal(StatusCode.ResourceExhausted, second.Code);
        Assert.StartsWith("This tenant's requests", second.Message, StringComparison.Ordinal);
        var other = server.CallAsync(Encode, StreamedBody.Pictures(12 * MiB), cancellation, ("flamingo-tenant", "two"));
        gate.SetResult();
        Assert.Equal((StatusCode.OK, StatusCode.OK), ((await first).Code, (await other).Code));
        AssertAllBack(server);
    }

    [Fact(Timeout = Limit)]
    public async Task A_stage_has_no_tenants_and_gives_all_to_its_gateway()
    {
        await using var server = await ArrivalServer.StartAsync(bytesInFlight: 64 * MiB, isGateway: false);
        Assert.Equal(30 * MiB, server.Budget.LargestMessage);
        var status = await server.CallAsync(
            "flamingo.v1.Resampler/Resample", StreamedBody.Pictures(31 * MiB), TestContext.Current.CancellationToken);
        Assert.Equal(StatusCode.ResourceExhausted, status.Code);
    }

    [Fact(Timeout = Limit)]
    public async Task A_caller_that_falls_silent_loses_only_its_call_and_holds_no_more_than_it_sent()
    {
        var (cancellation, time) = (TestContext.Current.CancellationToken, new FakeTimeProvider());
        await using var server = await ArrivalServer.StartAsync(time: time);
        var silent = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var attacks = Enumerable.Range(0, 4).Select(_ => server.CallAsync(Encode, new StreamedBody(async (stream, gone) =>
        {
            await stream.WriteAsync(ArrivalServer.Frame(new byte[1000], length: 200_000_000), gone);
            await stream.FlushAsync(gone);
            await silent.Task.WaitAsync(gone);
        }), cancellation)).ToList();
        await WaitForAsync(() => server.Budget.InFlight >= 4 * 2 * 64 << 10, cancellation);
        Assert.Equal(4 * 2 * 64 << 10, server.Budget.InFlight); // announced were 800 MB
        await Neighbour.AskAsync(server, cancellation);
        // The same connection serves others on.
        Assert.Equal(StatusCode.OK, (await server.CallAsync(Encode, ArrivalServer.Frame([]), cancellation)).Code);

        time.Advance(TimeSpan.FromSeconds(9.9));
        Assert.All(attacks, attack => Assert.False(attack.IsCompleted));
        time.Advance(TimeSpan.FromSeconds(0.2));
        foreach (var status in await Task.WhenAll(attacks))
        {
            Assert.Equal(StatusCode.DeadlineExceeded, status.Code);
            Assert.Contains("Requests:TransferTimeout", status.Message, StringComparison.Ordinal);
        }

        AssertAllBack(server);
        silent.SetResult();
    }

    [Fact(Timeout = Limit)]
    public async Task A_call_that_is_cancelled_in_mid_upload_gives_all_back()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await ArrivalServer.StartAsync();
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var call = server.CallAsync(Encode, new StreamedBody(async (stream, gone) =>
        {
            await stream.WriteAsync(ArrivalServer.Frame(new byte[100_000], length: 10_000_000), gone);
            await stream.FlushAsync(gone);
            await Task.Delay(Timeout.InfiniteTimeSpan, gone);
        }), leaving.Token);
        await WaitForAsync(() => server.Budget.InFlight > 0, cancellation);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        await WaitForAsync(() => server.Budget.InFlight == 0, cancellation);
        Assert.Equal(0, server.Budget.Tenants);
    }

    [Fact(Timeout = Limit)]
    public async Task An_answer_that_nobody_reads_is_cut_off_and_the_connection_serves_on()
    {
        var (cancellation, time) = (TestContext.Current.CancellationToken, new FakeTimeProvider());
        await using var server = await ArrivalServer.StartAsync(time: time);
        var features = new ResampleRequest
        {
            Features = { new Tensor { Dtype = Dtype.Float32, Shape = { 1000, 1000 }, Data = ByteString.CopyFrom(new byte[4_000_000]) } },
        };
        const string Resample = "flamingo.v1.Resampler/Resample";
        using var unread = await server.BeginAsync(
            Resample, new ByteArrayContent(ArrivalServer.Frame(features.ToByteArray())), cancellation);
        await WaitForAsync(() => server.Budget.InFlight == 0, cancellation);
        await WaitForAsync(() =>
        {
            time.Advance(TimeSpan.FromSeconds(1));
            return server.Logs.Any(line => line.Text.Contains("Requests:TransferTimeout", StringComparison.Ordinal));
        }, cancellation);
        await Assert.ThrowsAnyAsync<Exception>(() => unread.Content.ReadAsByteArrayAsync(cancellation));
        Assert.Equal(StatusCode.OK, (await server.CallAsync(Resample, ArrivalServer.Frame(features.ToByteArray()), cancellation)).Code);
    }

    [Fact(Timeout = Limit)]
    public async Task Small_methods_take_kilobytes_only()
    {
        await using var server = await ArrivalServer.StartAsync();
        foreach (var method in new[]
        {
            "flamingo.v1.Flamingo/GetModel", "flamingo.v1.LatentCache/Clear", "flamingo.v1.SupportSets/List", "flamingo.v1.SupportSets/Get",
            "flamingo.v1.LanguageModel/Describe", "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        })
        {
            var status = await server.CallAsync(method, StreamedBody.Pictures(65_537), TestContext.Current.CancellationToken);
            Assert.Equal(StatusCode.ResourceExhausted, status.Code);
            Assert.Contains("larger than 65536 bytes", status.Message, StringComparison.Ordinal);
        }

        var tokenize = await server.CallAsync(
            "flamingo.v1.LanguageModel/Tokenize", StreamedBody.Pictures((16 << 20) + 1), TestContext.Current.CancellationToken);
        Assert.Contains("larger than 16777216 bytes", tokenize.Message, StringComparison.Ordinal);
    }

    private static void AssertAllBack(ArrivalServer server) =>
        Assert.Equal((0, 0), (server.Budget.InFlight, server.Budget.Tenants));

    private static async Task WaitForAsync(Func<bool> condition, CancellationToken cancellation)
    {
        while (!condition()) await Task.Delay(5, cancellation);
    }
}
