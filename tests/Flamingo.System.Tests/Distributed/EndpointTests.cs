using System.Net;
using System.Net.Sockets;
using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Grpc.Reflection.V1Alpha;

namespace Flamingo.SystemTests.Distributed;

/// <summary>Besides its service, every host offers only health checks and reflection, over HTTP/2.</summary>
public sealed class EndpointTests(Stack shared) : HostTests(shared)
{
    public static TheoryData<string, string> Services => new()
    {
        { "VisionEncoder", "flamingo.v1.VisionEncoder" },
        { "Resampler", "flamingo.v1.Resampler" },
        { "LanguageModel", "flamingo.v1.LanguageModel" },
        { "Gateway", "flamingo.v1.Flamingo" },
        { "Gateway", "flamingo.v1.Tasks" },
        { "Gateway", "flamingo.v1.SupportSets" },
        { "Gateway", "flamingo.v1.LatentCache" },
    };

    [Theory(Timeout = 60_000), MemberData(nameof(Services))]
    public async Task Health_is_served(string host, string service)
    {
        using var channel = GrpcChannel.ForAddress(Running(host).Address);
        var health = new Health.HealthClient(channel);
        var answer = await health.CheckAsync(new HealthCheckRequest(), deadline: Deadline.In(10), cancellationToken: Cancellation);
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, answer.Status);
        var unknown = await Assert.ThrowsAsync<RpcException>(
            () =>
                health.CheckAsync(new HealthCheckRequest { Service = $"no.{service}" }, deadline: Deadline.In(10),
                    cancellationToken: Cancellation).ResponseAsync);
        Assert.Equal(StatusCode.NotFound, unknown.StatusCode);

        var probe = Start(host, Running(host).Port, null, "--health");
        Assert.Equal(0, await probe.ExitAsync());
        var nobody = Start(host, null, null, "--health");
        Assert.Equal(1, await nobody.ExitAsync());
        Assert.Single(nobody.Error.Split('\n'));
        Assert.Contains($"{nobody.Port}", nobody.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("subchannel", nobody.Error, StringComparison.Ordinal);
    }

    [Theory(Timeout = 60_000), MemberData(nameof(Services))]
    public async Task Reflection_lists_and_describes_the_service(string host, string service)
    {
        using var channel = GrpcChannel.ForAddress(Running(host).Address);
        using var call = new ServerReflection.ServerReflectionClient(channel).ServerReflectionInfo(deadline: Deadline.In(20),
            cancellationToken: Cancellation);
        var listed = (await AskAsync(call, new() { ListServices = "" })).ListServicesResponse.Service.Select(item => item.Name).ToList();
        Assert.Contains(service, listed);
        Assert.Contains("grpc.health.v1.Health", listed);
        Assert.Equal(Services.Select(row => row.Data).Where(row => row.Item1 == host).Select(row => row.Item2).Order(),
            listed.Where(name => name.StartsWith("flamingo.", StringComparison.Ordinal)).Order());

        var files = (await AskAsync(call,
            new() { FileContainingSymbol = service })).FileDescriptorResponse.FileDescriptorProto.ToDictionary(
                bytes => FileDescriptorProto.Parser.ParseFrom(bytes).Name);
        var ordered = new List<string>();
        foreach (var file in files.Keys) Order(file);
        // throws if an import or a type is missing
        var resolved = FileDescriptor.BuildFromByteStrings(ordered.Select(file => files[file]));
        var described = Assert.Single(resolved.SelectMany(file => file.Services), item => item.FullName == service);
        Assert.NotEmpty(described.Methods);
        await call.RequestStream.CompleteAsync();

        // orders files so that imports come first
        void Order(string file)
        {
            if (ordered.Contains(file)) return;
            foreach (var import in FileDescriptorProto.Parser.ParseFrom(files[file]).Dependency) Order(import);
            ordered.Add(file);
        }
    }

    [Theory(Timeout = 60_000), MemberData(nameof(Services))]
    public async Task Older_http_is_refused(string host, string service)
    {
        using var client = new HttpClient();
        using var old = new HttpRequestMessage(
            HttpMethod.Post, $"{Running(host).Address}/{service}/Describe") { Version = HttpVersion.Version11,
                VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using var refused = await client.SendAsync(old, Cancellation);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        var line = await refused.Content.ReadAsStringAsync(Cancellation);
        string[] parts = [$"gRPC endpoint of Flamingo.{host}.Host", "only HTTP/2", "this request is HTTP/1", $"HOST:{Running(host).Port}"];
        Assert.All(parts, part => Assert.Contains(part, line, StringComparison.Ordinal));
        Assert.Single(line.TrimEnd().Split('\n'));

        // The method begins like an HTTP/2 preface. The request arrives letter by letter and continues after the answer.
        using var socket = new TcpClient("localhost", Running(host).Port) { NoDelay = true };
        var stream = socket.GetStream();
        using var reader = new StreamReader(stream);
        await SendAsync("PRO"u8.ToArray());
        var answer = "";
        while (!answer.EndsWith(line, StringComparison.Ordinal)) answer += $"{await reader.ReadLineAsync(Cancellation)}\n";
        await SendAsync("PFIND / HTTP/1.1\r\n\r\n"u8.ToArray());
        socket.Client.Shutdown(SocketShutdown.Send);
        Assert.Equal("", await reader.ReadToEndAsync(Cancellation));

        async Task SendAsync(byte[] letters)
        {
            foreach (var letter in letters) await stream.WriteAsync(new[] { letter }, Cancellation);
        }
    }

    private static async Task<ServerReflectionResponse> AskAsync(
        AsyncDuplexStreamingCall<ServerReflectionRequest, ServerReflectionResponse> call, ServerReflectionRequest request)
    {
        await call.RequestStream.WriteAsync(request);
        Assert.True(await call.ResponseStream.MoveNext(Cancellation));
        return call.ResponseStream.Current;
    }

    private HostProcess Running(string host) => host switch
    {
        "VisionEncoder" => Shared.VisionEncoder,
        "Resampler" => Shared.Resampler,
        "LanguageModel" => Shared.LanguageModel,
        _ => Shared.Gateway,
    };
}
