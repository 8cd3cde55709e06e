using System.IO.Compression;
using Flamingo.Protos.V1;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Tests.Serving.Arrival;

/// <summary>Compressed requests are accepted, and decompression stops at the limit of the method.</summary>
public sealed class CompressionTests : IAsyncLifetime
{
    private static readonly byte[] Bomb = Compressed(1 << 30); // about a megabyte

    private ArrivalServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await ArrivalServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory(Timeout = 60_000)]
    [InlineData("gzip")]
    [InlineData("deflate")]
    public async Task A_compressed_request_is_answered(string encoding)
    {
        var request = new EncodeRequest { Pictures = { new Visual { Picture = ByteString.CopyFrom(new byte[300_000]) } } };
        var status = await _server.CallAsync(
            "flamingo.v1.Flamingo/Encode", ArrivalServer.Frame(Compressed(request.ToByteArray(), encoding), compression: 1),
            TestContext.Current.CancellationToken, ("grpc-encoding", encoding));
        Assert.Equal(StatusCode.OK, status.Code);
        var asked = Assert.IsType<Abstractions.FlamingoEncodeRequest>(_server.Flamingo.Asked.Request);
        Assert.Equal(300_000, Assert.IsType<Abstractions.FlamingoPicture>(Assert.Single(asked.Pictures)).Bytes.Length);
        Assert.Equal(0, _server.Budget.InFlight);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_gzip_of_gRPCs_own_client_is_understood()
    {
        using var call = new V1.Flamingo.FlamingoClient(_server.Channel).RankAsync(
            new V1.RankRequest { Candidates = { "a" } }, new Metadata { { "grpc-internal-encoding-request", "gzip" } },
            cancellationToken: TestContext.Current.CancellationToken);
        await call;
        Assert.Equal("Rank", _server.Flamingo.Asked.Method);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("br")]
    [InlineData("zstd")]
    public async Task An_unknown_encoding_is_unimplemented(string encoding)
    {
        foreach (var method in new[] { "flamingo.v1.Flamingo/Generate", "grpc.health.v1.Health/Check" })
        {
            var status = await _server.CallAsync(
                method, ArrivalServer.Frame([1, 2, 3], compression: 1), TestContext.Current.CancellationToken, ("grpc-encoding", encoding));
            Assert.Equal(StatusCode.Unimplemented, status.Code);
            Assert.Contains(encoding, status.Message, StringComparison.Ordinal);
        }
    }

    [Theory(Timeout = 60_000)]
    [InlineData("flamingo.v1.Flamingo/Generate", 268_435_456)]
    [InlineData("flamingo.v1.Tasks/Classify", 268_435_456)]
    [InlineData("flamingo.v1.Flamingo/GetModel", 65_536)]
    [InlineData("grpc.health.v1.Health/Check", 65_536)]
    public async Task A_bomb_stops_at_the_limit_of_the_method_and_neighbours_do_not_notice(string method, int limit)
    {
        Assert.InRange(Bomb.Length, 500_000, 2_000_000);
        var cancellation = TestContext.Current.CancellationToken;
        using var memory = new MemoryWatch();
        var attacks = Enumerable.Range(0, 3).Select(_ =>
            _server.CallAsync(method, ArrivalServer.Frame(Bomb, compression: 1), cancellation, ("grpc-encoding", "gzip"))).ToList();
        await Neighbour.AskAsync(_server, cancellation);
        foreach (var status in await Task.WhenAll(attacks))
        {
            Assert.Equal(StatusCode.ResourceExhausted, status.Code);
            // Three at once may also meet the limit of their tenant, which is to say that one of them is to wait.
            if (status.Details!.GetDetail<RetryInfo>() is null)
                Assert.True(
                    status.Message.Contains($"{limit} bytes", StringComparison.Ordinal)
                    || status.Message.Contains("Requests:MaxInFlightBytes", StringComparison.Ordinal), status.Message);
        }

        Assert.InRange(memory.Growth, 0, (1L << 30) + (256L << 20));
        Assert.Equal((0, 0), (_server.Budget.InFlight, _server.Budget.Tenants));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_small_message_that_inflates_beyond_a_small_limit_is_refused_by_name()
    {
        var status = await _server.CallAsync(
            "grpc.health.v1.Health/Check", ArrivalServer.Frame(Compressed(10 << 20), compression: 1),
            TestContext.Current.CancellationToken, ("grpc-encoding", "gzip"));
        Assert.Equal(StatusCode.ResourceExhausted, status.Code);
        Assert.Contains("grpc.health.v1.HealthCheckRequest is larger than 65536 bytes", status.Message, StringComparison.Ordinal);
        Assert.Null(status.Details!.GetDetail<RetryInfo>());
    }

    private static byte[] Compressed(int zeros)
    {
        using var memory = new MemoryStream();
        using (var gzip = new GZipStream(memory, CompressionLevel.Optimal, leaveOpen: true))
            for (var left = zeros; left > 0; left -= 1 << 20) gzip.Write(new byte[1 << 20]);
        return memory.ToArray();
    }

    private static byte[] Compressed(byte[] bytes, string encoding)
    {
        using var memory = new MemoryStream();
        using (Stream stream = encoding == "gzip"
            ? new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true)
            : new ZLibStream(memory, CompressionLevel.Fastest, leaveOpen: true))
            stream.Write(bytes);
        return memory.ToArray();
    }
}
