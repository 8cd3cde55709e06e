using System.Net;
using System.Text;
using Flamingo.Abstractions;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Grpc.Net.Client.Web;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Gateway.Doors.Tests.Ports;

/// <summary>Which port serves what, and what every answer of the HTTP port has.</summary>
public sealed class PortTests
{
    private const string Generate = """{"segments": [{"text": "a"}]}""";

    [Fact(Timeout = 60_000)]
    public async Task The_gRPC_port_has_no_JSON_and_no_page()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        using var http = new HttpClient { BaseAddress = new Uri(server.GrpcAddress) };
        (http.DefaultRequestVersion, http.DefaultVersionPolicy) = (HttpVersion.Version20, HttpVersionPolicy.RequestVersionExact);
        foreach (var path in new[] { "/flamingo/v1/model", "/openapi/v1.json", "/openapi", "/v1/models" })
        {
            using var answer = await http.GetAsync(path);
            Assert.Equal((path, HttpStatusCode.NotFound), (path, answer.StatusCode));
            Assert.False(answer.Headers.Contains("x-request-id"));
        }

        // Not even if a call pretends to be gRPC.
        using var content = new StringContent(Generate, Encoding.UTF8, "application/grpc");
        using var pretended = await http.PostAsync("/flamingo/v1/generate", content);
        Assert.Equal(HttpStatusCode.NotFound, pretended.StatusCode);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_gRPC_port_refuses_unknown_methods_as_before()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        using var channel = GrpcChannel.ForAddress(server.GrpcAddress);
        var call = Assert.ThrowsAsync<RpcException>(() => channel.CreateCallInvoker().AsyncUnaryCall(
            new Method<V1.GetModelRequest, V1.Model>(MethodType.Unary, "flamingo.v1.Flamingo", "Nothing",
                Marshallers.Create(_ => Array.Empty<byte>(), _ => new V1.GetModelRequest()),
                Marshallers.Create(_ => Array.Empty<byte>(), _ => new V1.Model())),
            null, default, new V1.GetModelRequest()).ResponseAsync);
        Assert.Equal(StatusCode.Unimplemented, (await call).StatusCode);
    }

    [Theory(Timeout = 60_000)]
    [InlineData(GrpcWebMode.GrpcWeb), InlineData(GrpcWebMode.GrpcWebText)]
    public async Task The_HTTP_port_speaks_gRPC_Web_for_the_public_services(GrpcWebMode mode)
    {
        var model = new ScriptedModel();
        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken);
        using var channel = Web(server, mode);
        var client = new V1.Flamingo.FlamingoClient(channel);
        using var call = client.Generate(
            new V1.GenerateRequest { Segments = { new V1.PromptSegment { Text = "a" } } },
            new Metadata { { "flamingo-tenant", "alice" } });
        List<V1.GenerateResponse> events = [];
        await foreach (var item in call.ResponseStream.ReadAllAsync()) events.Add(item);
        Assert.Equal([5, 6], events.SelectMany(item => item.Tokens?.Ids ?? []));
        Assert.Equal(V1.GenerateResponse.EventOneofCase.Finished, events[^1].EventCase);
        Assert.Equal("1", call.GetTrailers().GetValue("flamingo-memory-hits"));
        Assert.NotNull((await call.ResponseHeadersAsync).GetValue("x-request-id"));
        Assert.Equal("alice", model.Asked.Tenant);
        Assert.Equal("words", (await new V1.SupportSets.SupportSetsClient(channel).GetAsync(new() { Name = "words" })).Name);
        Assert.Equal("two", (await new V1.Tasks.TasksClient(channel).AnswerAsync(
            new() { Prompt = new() { Visual = new() { PictureId = ScriptedModel.PictureId } }, Question = "How many?" })).Text);
        Assert.Equal(0, server.Budget.InFlight);

        model.Refuses = new FlamingoException(FlamingoErrorKind.Overloaded,
            "All places are taken.") { RetryAfter = TimeSpan.FromSeconds(2) };
        var refused = await Assert.ThrowsAsync<RpcException>(() => client.RankAsync(new V1.RankRequest()).ResponseAsync);
        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.NotNull(refused.GetRpcStatus()?.GetDetail<Google.Rpc.RetryInfo>());
    }

    [Fact(Timeout = 60_000)]
    public async Task The_HTTP_port_has_neither_health_nor_reflection_nor_native_gRPC()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        using var channel = Web(server, GrpcWebMode.GrpcWeb);
        var health = await Assert.ThrowsAsync<RpcException>(
            () => new Health.HealthClient(channel).CheckAsync(new HealthCheckRequest()).ResponseAsync);
        Assert.Equal(StatusCode.Unimplemented, health.StatusCode);
        using var content = new ByteArrayContent(new byte[5]);
        content.Headers.TryAddWithoutValidation("content-type", "application/grpc");
        using var native = await server.Http.PostAsync("/flamingo.v1.Flamingo/GetModel", content);
        Assert.Equal(HttpStatusCode.NotFound, native.StatusCode);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("req_1.A-b", true)]
    [InlineData("with space", false)]
    [InlineData("a;b", false)]
    [InlineData("", false)]
    public async Task The_id_of_a_request_is_the_callers_if_it_is_well_formed(string given, bool taken)
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        foreach (var path in new[] { "/flamingo/v1/model", "/nothing", "/openapi/v1.json" })
        {
            var answer = await server.SendAsync(HttpMethod.Get, path, null, ("x-request-id", given));
            if (taken) Assert.Equal(given, answer.Header("x-request-id"));
            else Assert.Matches("^[0-9a-f]{32}$", answer.Header("x-request-id"));
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task A_path_that_does_not_exist_is_named_with_those_that_do()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        string[] paths =
        [
            "/nothing", "/v1/responses", "/flamingo/v1/../../v1/x", "//flamingo/v1/model", "/%2e%2e/etc/passwd", "/flamingo/v1/model%00",
            "/" + new string('a', 5000),
        ];
        foreach (var path in paths)
        {
            var answer = await server.SendRawAsync($"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            // Kestrel itself refuses a path with a null character.
            if (path.Contains("%00", StringComparison.Ordinal))
            {
                Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
                continue;
            }

            Assert.StartsWith("HTTP/1.1 404", answer, StringComparison.Ordinal);
            Assert.Contains("POST /flamingo/v1/generate", answer, StringComparison.Ordinal);
            Assert.DoesNotContain("flamingo.v1.Flamingo", answer, StringComparison.Ordinal);
            Assert.Contains("\"code\":\"unknown_url\"", answer, StringComparison.Ordinal);
            Assert.InRange(answer.Length, 100, 2500);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task What_fails_unexpectedly_is_logged_and_answered_without_details()
    {
        var model = new ScriptedModel { Refuses = new InvalidOperationException("a secret") };
        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken);
        var answer = await server.SendAsync(HttpMethod.Post, "/flamingo/v1/rank", """{"segments": [{"text": "a"}], "candidates": ["b"]}""");
        Assert.Equal(HttpStatusCode.InternalServerError, answer.Status);
        Assert.DoesNotContain("secret", answer.Text, StringComparison.Ordinal);
        Assert.Contains(server.Logs.GetSnapshot(), record => record.Exception == model.Refuses);
    }

    private static GrpcChannel Web(PortServer server, GrpcWebMode mode) => GrpcChannel.ForAddress(server.HttpAddress, new GrpcChannelOptions
    {
        HttpHandler = new GrpcWebHandler(mode, new HttpClientHandler()), HttpVersion = HttpVersion.Version11,
        HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact,
    });
}
