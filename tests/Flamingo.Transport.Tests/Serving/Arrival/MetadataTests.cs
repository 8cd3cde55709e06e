using System.Net;
using Flamingo.Abstractions;
using Grpc.Core;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Tests.Serving.Arrival;

/// <summary>A call with too much metadata fails alone, and calls of operators are allowed by address.</summary>
public sealed class MetadataTests
{
    private const string GetModel = "flamingo.v1.Flamingo/GetModel";

    [Theory(Timeout = 60_000)]
    [InlineData(60_000, 1)]
    [InlineData(60_000, 60)]
    [InlineData(250_000, 1)]
    [InlineData(250_000, 2_000)]
    public async Task Too_much_metadata_fails_that_call_only(int bytes, int entries)
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await ArrivalServer.StartAsync();
        var flamingo = new V1.Flamingo.FlamingoClient(server.Channel);
        // A stream that has begun on the same connection, and goes on.
        using var running = new V1.LanguageModel.LanguageModelClient(server.Channel).Generate(
            new V1.GenerateTokensRequest(), cancellationToken: cancellation);
        Assert.True(await running.ResponseStream.MoveNext(cancellation));

        var metadata = new Metadata();
        for (var index = 0; index < entries; index++) metadata.Add($"x-{index:0000}", new string('m', bytes / entries));
        var refused = await Assert.ThrowsAsync<RpcException>(
            () => flamingo.GetModelAsync(new V1.GetModelRequest(), metadata, cancellationToken: cancellation).ResponseAsync);
        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.Contains("32768", refused.Status.Detail, StringComparison.Ordinal);

        await flamingo.GetModelAsync(new V1.GetModelRequest(), cancellationToken: cancellation);
        var next = running.ResponseStream.MoveNext(cancellation);
        Assert.False(next.IsCompleted, "The running stream ended with the refused call.");
    }

    [Fact(Timeout = 60_000)]
    public async Task What_proxies_and_credentials_add_passes()
    {
        await using var server = await ArrivalServer.StartAsync();
        var status = await server.CallAsync(
            GetModel, ArrivalServer.Frame([]), TestContext.Current.CancellationToken, ("authorization", new string('a', 30_000)));
        Assert.Equal(StatusCode.OK, status.Code);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_silent_upload_does_not_close_the_connection_of_others()
    {
        // Kestrel has its own minimum rate, and would close the whole connection after some seconds.
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await ArrivalServer.StartAsync();
        using var silence = new CancellationTokenSource(TimeSpan.FromSeconds(5), TimeProvider.System);
        var silent = server.CallAsync("flamingo.v1.Flamingo/Encode", new StreamedBody(async (stream, gone) =>
        {
            await stream.WriteAsync(ArrivalServer.Frame([], length: 1000), gone);
            await stream.FlushAsync(gone);
            await Task.Delay(Timeout.InfiniteTimeSpan, gone);
        }), silence.Token);
        await Assert.ThrowsAnyAsync<Exception>(() => silent);
        Assert.True(silence.IsCancellationRequested, "The connection broke before the caller left.");
        Assert.Equal(StatusCode.OK, (await server.CallAsync(GetModel, ArrivalServer.Frame([]), cancellation)).Code);
    }

    [Theory(Timeout = 60_000)]
    [InlineData(null, "127.0.0.1", true)]
    [InlineData("loopback", "127.0.0.1", true)]
    [InlineData("loopback", "::1", true)]
    [InlineData("loopback", "::ffff:127.0.0.1", true)]
    [InlineData("loopback", "172.17.0.1", false)]
    [InlineData(null, "172.17.0.1", false)]
    [InlineData("all", "172.17.0.1", true)]
    [InlineData("none", "127.0.0.1", false)]
    public async Task The_cache_is_cleared_by_whom_the_option_allows(string? option, string address, bool isAllowed)
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await ArrivalServer.StartAsync(
            operators: option is null ? null : new OperatorCalls(option), caller: IPAddress.Parse(address));
        var status = await server.CallAsync("flamingo.v1.LatentCache/Clear", ArrivalServer.Frame([]), cancellation);
        Assert.Equal(isAllowed ? StatusCode.OK : StatusCode.PermissionDenied, status.Code);
        if (!isAllowed)
            Assert.StartsWith($"Gateway:OperatorCalls is {option ?? "loopback"}", status.Message, StringComparison.Ordinal);
        // Reading is for everybody.
        Assert.Equal(
            StatusCode.OK,
            (await server.CallAsync("flamingo.v1.LatentCache/GetStatistics", ArrivalServer.Frame([]), cancellation)).Code);
    }
}
