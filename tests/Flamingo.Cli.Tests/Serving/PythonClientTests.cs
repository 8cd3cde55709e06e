using System.Globalization;
using System.Text.Json;
using Flamingo.Cli.Tests.Running;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Serving;

/// <summary>
/// What a client in another language gets from a real gateway. Python's gRPC is made of the C core, as that of C++, Ruby and PHP, and takes
/// at most 8 KiB of metadata in an answer.
/// </summary>
public sealed class PythonClientTests(RunningServer server) : IClassFixture<RunningServer>
{
    private const string Program = """
        import json, sys, grpc
        from flamingo.v1 import flamingo_pb2 as pb, flamingo_pb2_grpc, latent_cache_pb2, latent_cache_pb2_grpc

        channel = grpc.insecure_channel(sys.argv[1])  # with the limits that a client has by default
        flamingo = flamingo_pb2_grpc.FlamingoStub(channel)
        answers = {}

        def fields(data):
            at = 0
            def number():
                nonlocal at
                value = shift = 0
                while True:
                    value |= (data[at] & 127) << shift
                    shift += 7
                    at += 1
                    if data[at - 1] < 128: return value
            while at < len(data):
                tag = number()
                if tag & 7 == 0: yield tag >> 3, number()
                else:
                    length = number()
                    yield tag >> 3, data[at:at + length]
                    at += length

        def ask(name, call):
            try:
                call()
                answers[name] = {"code": "OK"}
            except grpc.RpcError as error:
                trailers = dict(error.trailing_metadata() or ())
                details = [dict(fields(value)) for key, value in fields(trailers.get("grpc-status-details-bin", b"")) if key == 3]
                answers[name] = {
                    "code": error.code().name, "message": error.details(),
                    "kinds": [detail[1].decode().split("/")[-1] for detail in details],
                    "ids": [missing.ids[at:at + 32].hex() for detail in details if detail[1].endswith(b"MissingPictures")
                            for missing in [pb.MissingPictures.FromString(detail[2])] for at in range(0, len(missing.ids), 32)],
                }

        def raw(method, body):
            return channel.unary_unary(method, request_serializer=lambda data: data, response_deserializer=lambda data: data)(body)

        ids = ["%064x" % (index + 1) for index in range(64)]
        ask("unknown", lambda: list(flamingo.Generate(pb.GenerateRequest(segments=[pb.PromptSegment(picture_id=id) for id in ids]))))
        ask("encode", lambda: flamingo.Encode(pb.EncodeRequest(pictures=[pb.Visual(picture_id=id) for id in ids])))
        pictures = [pb.PromptSegment(picture=b"%d" % index) for index in range(32)]
        ask("faults", lambda: list(flamingo.Generate(pb.GenerateRequest(segments=pictures))))
        ask("malformed", lambda: raw("/flamingo.v1.Flamingo/GetModel", b"\x0a\x7f\x01"))
        ask("malformed health", lambda: raw("/grpc.health.v1.Health/Check", b"\x0a\x7f\x01"))
        ask("large", lambda: raw("/flamingo.v1.Flamingo/GetModel", b"\x0a\x80\x80\x80\x04" + bytes(8 << 20)))
        ask("metadata", lambda: flamingo.GetModel(pb.GetModelRequest(), metadata=[("x-large", "m" * 60000)]))
        ask("after metadata", lambda: flamingo.GetModel(pb.GetModelRequest()))
        text = pb.GenerateRequest(segments=[pb.PromptSegment(text="a small red circle " * 5)])
        ask("gzip", lambda: list(flamingo.Generate(text, compression=grpc.Compression.Gzip)))
        ask("gzip health", lambda: channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=lambda data: data, response_deserializer=lambda data: data)(
                b"\x0a\x80\x80\x80\x08" + bytes(16 << 20), compression=grpc.Compression.Gzip))
        ask("clear", lambda: latent_cache_pb2_grpc.LatentCacheStub(channel).Clear(latent_cache_pb2.ClearCacheRequest()))
        print(json.dumps(answers))
        """;

    [Fact(Timeout = 120_000)]
    public async Task Every_error_arrives_whole_and_fails_only_its_call()
    {
        if (!PythonClient.IsInstalled && Environment.GetEnvironmentVariable("CI") != "true")
            Assert.Skip($"This test needs {PythonClient.Packages}.");
        Assert.True(PythonClient.IsInstalled, $"CI needs {PythonClient.Packages}.");
        using var folder = new TemporaryFolder();
        var run = await PythonClient.RunAsync(
            Program, folder.Path, TestContext.Current.CancellationToken, $"localhost:{server.Port}");
        using var answers = JsonDocument.Parse(run.MustReturn(0).Output);

        var ids = Enumerable.Range(1, 64).Select(number => number.ToString("x64", CultureInfo.InvariantCulture));
        foreach (var name in new[] { "unknown", "encode" })
        {
            Assert.Equal("NOT_FOUND", Code(name));
            Assert.Equal(ids, Texts(name, "ids"));
            Assert.Equal(["ErrorInfo", "RequestInfo", "MissingPictures", .. Enumerable.Repeat("ResourceInfo", 4)], Kinds(name));
        }

        Assert.Equal("INVALID_ARGUMENT", Code("faults"));
        Assert.Contains("BadRequest", Kinds("faults"));
        Assert.Matches("^segments\\[0\\].picture: .* And [0-9]+ more\\.$", Message("faults"));
        foreach (var name in new[] { "malformed", "malformed health" })
        {
            Assert.Equal("INVALID_ARGUMENT", Code(name));
            Assert.Contains("is not a valid ", Message(name), StringComparison.Ordinal);
        }

        foreach (var name in new[] { "large", "gzip health" })
        {
            Assert.Equal("RESOURCE_EXHAUSTED", Code(name));
            Assert.Contains("larger than 65536 bytes", Message(name), StringComparison.Ordinal);
        }

        Assert.Equal("RESOURCE_EXHAUSTED", Code("metadata"));
        Assert.Contains("32768", Message("metadata"), StringComparison.Ordinal);
        Assert.Equal(("OK", "OK", "OK"), (Code("after metadata"), Code("gzip"), Code("clear")));

        string Code(string name) => answers.RootElement.GetProperty(name).GetProperty("code").GetString()!;

        string Message(string name) => answers.RootElement.GetProperty(name).GetProperty("message").GetString()!;

        IEnumerable<string> Texts(string name, string property) =>
            answers.RootElement.GetProperty(name).GetProperty(property).EnumerateArray().Select(item => item.GetString()!);

        IEnumerable<string> Kinds(string name) => Texts(name, "kinds").Select(kind => kind.Split('.')[^1]);
    }
}
