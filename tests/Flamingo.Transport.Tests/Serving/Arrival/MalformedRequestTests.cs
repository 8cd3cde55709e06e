using System.IO.Compression;
using Flamingo.Protos.V1;
using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Health.V1;
using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Tests.Serving.Arrival;

/// <summary>A request that is no message of its method is INVALID_ARGUMENT for every method, with one quiet line in the log.</summary>
public sealed class MalformedRequestTests : IAsyncLifetime
{
    private const string Generate = "flamingo.v1.Flamingo/Generate", Check = "grpc.health.v1.Health/Check",
        Watch = "grpc.health.v1.Health/Watch";

    private ArrivalServer _server = null!;

    public static TheoryData<string> Methods =>
    [
        .. new[]
        {
            FlamingoReflection.Descriptor, TasksReflection.Descriptor, SupportSetReflection.Descriptor, LatentCacheReflection.Descriptor,
            LanguageModelReflection.Descriptor, VisionEncoderReflection.Descriptor, ResamplerReflection.Descriptor,
            HealthReflection.Descriptor,
        }.SelectMany(file => file.Services).SelectMany(service => service.Methods)
            .Select(method => $"{method.Service.FullName}/{method.Name}"),
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ];

    public static TheoryData<string, byte[]> Bodies => new()
    {
        { "has no message", [] },
        { "ends inside the prefix", [0, 0, 0] },
        { "ends inside a message", ArrivalServer.Frame([1, 2, 3], length: 40) },
        { "first byte of a message is 7", ArrivalServer.Frame([], compression: 7) },
        { "More bytes follow", [.. ArrivalServer.Frame([]), .. ArrivalServer.Frame([])] },
        { "grpc-encoding is ''", ArrivalServer.Frame([1, 2, 3], compression: 1) },
    };

    public async ValueTask InitializeAsync() => _server = await ArrivalServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory(Timeout = 60_000), MemberData(nameof(Methods))]
    public async Task A_malformed_message_is_invalid_and_the_log_is_quiet(string method)
    {
        // Field 1 says that 127 bytes follow, and 2 do.
        var status = await _server.CallAsync(method, ArrivalServer.Frame([0x0A, 0x7F, 1, 2]), TestContext.Current.CancellationToken);
        Assert.Equal(StatusCode.InvalidArgument, status.Code);
        Assert.Contains("is not a valid ", status.Message, StringComparison.Ordinal);
        AssertQuiet(1);
        Assert.Equal((0, 0), (_server.Budget.InFlight, _server.Budget.Tenants));
    }

    [Theory(Timeout = 60_000), MemberData(nameof(Bodies))]
    public async Task A_malformed_frame_is_invalid_and_named(string problem, byte[] body)
    {
        foreach (var method in new[] { Generate, Check, Watch, "flamingo.v1.Resampler/Resample" })
        {
            var status = await _server.CallAsync(method, body, TestContext.Current.CancellationToken);
            Assert.Equal(StatusCode.InvalidArgument, status.Code);
            Assert.Contains(problem, status.Message, StringComparison.Ordinal);
        }

        AssertQuiet(4);
        Assert.Equal(0, _server.Budget.InFlight);
    }

    [Fact(Timeout = 60_000)]
    public async Task Data_that_are_not_compressed_as_announced_are_invalid()
    {
        using var cut = new MemoryStream();
        await using (var gzip = new GZipStream(cut, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(new byte[10_000]);
        foreach (var body in new[] { [1, 2, 3, 4], cut.ToArray()[2..] })
        {
            var status = await _server.CallAsync(
                Generate, ArrivalServer.Frame(body, compression: 1), TestContext.Current.CancellationToken, ("grpc-encoding", "gzip"));
            Assert.Equal(StatusCode.InvalidArgument, status.Code);
        }

        AssertQuiet(2);
    }

    [Fact(Timeout = 60_000)]
    public async Task Bytes_that_are_no_text_are_invalid()
    {
        var status = await _server.CallAsync(
            "flamingo.v1.SupportSets/Get", ArrivalServer.Frame([0x0A, 2, 0xC3, 0x28]), TestContext.Current.CancellationToken);
        Assert.True(status.Code is StatusCode.InvalidArgument or StatusCode.NotFound, $"{status}"); // protobuf may replace them
        AssertQuiet(1);
    }

    private void AssertQuiet(int most)
    {
        Assert.All(_server.Logs, line => Assert.True(line.Level <= LogLevel.Information && line.Exception is null, $"{line}"));
        Assert.InRange(_server.Logs.Count, 0, most);
    }
}
