using System.Net;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Security.Keys;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Reflection.V1Alpha;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Gateway.Security.Tests;

/// <summary>Who is let in over gRPC and HTTP, as which tenant, and how others are refused.</summary>
public sealed class CallerTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static FlamingoRequest Request => new([new FlamingoText("x")], new SamplingParameters());

    [Fact(Timeout = 60_000)]
    public async Task A_key_decides_the_tenant_over_gRPC_and_HTTP()
    {
        await using var server = await SecuredServer.StartAsync();
        var (berlin, common) = (server.NewKey("berlin"), server.NewKey(TenantName.Default));
        foreach (var key in new[] { berlin, common })
        {
            await server.Client(key).CompleteAsync(Request, Cancellation);
            await server.Client(key).EncodeAsync(new FlamingoEncodeRequest([new FlamingoPictureId(new string('0', 64))]), Cancellation);
        }

        Assert.Equal(["berlin", "berlin", "", ""], server.Flamingo.Tenants);
        using var answer = await server.GetAsync("/v1/models", berlin);
        Assert.Equal("tenant=berlin", await answer.Content.ReadAsStringAsync(Cancellation));
        using var ofDefault = await server.GetAsync("/v1/models", common);
        Assert.Equal("tenant=", await ofDefault.Content.ReadAsStringAsync(Cancellation));
    }

    [Fact(Timeout = 60_000)]
    public async Task Without_a_key_or_with_a_wrong_one_nobody_is_let_in()
    {
        await using var server = await SecuredServer.StartAsync();
        var right = server.NewKey("berlin");
        var (id, secret) = (right.Split('_')[1], right[(right.IndexOf('_', 4) + 1)..]);
        var changed = (secret[0] == 'A' ? 'B' : 'A') + secret[1..];
        string?[] wrong =
        [
            null, "", "x", "flm_", "flm__", $"flm_{id}", $"flm_{id}_", $"flm_{id}_{changed}", $"flm_{id}_{secret}A",
                $"flm_{id}_{secret[1..]}",
            $"flm_0{id}_{secret}", AccessKey.New().Reveal(), right.ToUpperInvariant(), $"flm_{id}_{new string('=', 43)}", new('a', 20_000),
        ];
        var grpc = new V1.Flamingo.FlamingoClient(server.Channel());
        foreach (var key in wrong)
        {
            var metadata = new Metadata();
            if (key is not null) metadata.Add("authorization", $"Bearer {key}");
            var refused = await Assert.ThrowsAsync<RpcException>(
                () => grpc.GetModelAsync(new V1.GetModelRequest(), metadata, cancellationToken: Cancellation).ResponseAsync);
            Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
            Assert.Equal("Unauthenticated", refused.GetRpcStatus()?.GetDetail<Google.Rpc.ErrorInfo>()?.Reason);

            using var answer = await server.GetAsync("/v1/models", key);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            Assert.StartsWith("Bearer", answer.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
            Assert.NotEmpty(answer.Headers.GetValues("x-request-id").Single());
            using var body = JsonDocument.Parse(await answer.Content.ReadAsStreamAsync(Cancellation), default);
            var error = body.RootElement.GetProperty("error");
            Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(member => member.Name));
            Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
            Assert.Equal("invalid_api_key", error.GetProperty("code").GetString());
            Assert.Equal(JsonValueKind.Null, error.GetProperty("param").ValueKind);
            if (key?.Length > 40) Assert.DoesNotContain(key[^20..], error.GetProperty("message").GetString(), StringComparison.Ordinal);
        }

        using var basic = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        basic.Headers.TryAddWithoutValidation("Authorization", $"Basic {right}");
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Web.SendAsync(basic, Cancellation)).StatusCode);
        using var twice = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        twice.Headers.TryAddWithoutValidation("Authorization", [$"Bearer {right}", $"Bearer {right}"]);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Web.SendAsync(twice, Cancellation)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.GetAsync("/nothing/here", null)).StatusCode);
        Assert.Empty(server.Flamingo.Tenants);
        // One message for all refusals within a minute, and no secret in any message.
        Assert.Single(server.Logs, line => line.StartsWith("6303", StringComparison.Ordinal));
        Assert.DoesNotContain(server.Logs, line =>
            line.Contains(secret, StringComparison.Ordinal) || line.Contains(changed, StringComparison.Ordinal));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_refused_call_is_answered_before_its_body_is_sent()
    {
        await using var server = await SecuredServer.StartAsync();
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, server.Grpc + "/flamingo.v1.Flamingo/Encode")
        {
            Content = new EndlessBody(), Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        request.Content.Headers.ContentType = new("application/grpc");
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancellation);
        // Trailers only: the status stands in the headers, behind which there is nothing.
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("application/grpc", answer.Content.Headers.ContentType?.ToString());
        Assert.Equal("16", answer.Headers.GetValues("grpc-status").Single());
        Assert.Contains("FLAMINGO_KEY", Uri.UnescapeDataString(answer.Headers.GetValues("grpc-message").Single()),
            StringComparison.Ordinal);
        Assert.Empty(await answer.Content.ReadAsByteArrayAsync(Cancellation));
        Assert.Equal(0, server.Budget.InFlight);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("application/grpc-web+proto", HttpStatusCode.OK, "16")]
    [InlineData("application/grpc-web-text", HttpStatusCode.OK, "16")]
    [InlineData("application/json", HttpStatusCode.Unauthorized, null)]
    public async Task Over_HTTP_every_protocol_gets_its_own_refusal_behind_a_large_body(string type, HttpStatusCode status, string? grpc)
    {
        await using var server = await SecuredServer.StartAsync();
        for (var call = 0; call < 2; call++) // the connection can be used again
        {
            using var content = new ByteArrayContent(new byte[10 << 20]);
            content.Headers.ContentType = new(type);
            using var answer = await server.Web.PostAsync("/flamingo.v1.Flamingo/Encode", content, Cancellation);
            Assert.Equal(status, answer.StatusCode);
            Assert.Equal(grpc is null ? "application/json" : type, answer.Content.Headers.ContentType?.MediaType);
            Assert.Equal(grpc, answer.Headers.TryGetValues("grpc-status", out var values) ? values.Single() : null);
        }

        Assert.Equal(0, server.Budget.InFlight);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_tenant_header_from_outside_is_refused_by_its_name()
    {
        await using var server = await SecuredServer.StartAsync();
        var key = server.NewKey("berlin");
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => server.Client(key, tenant: "berlin").CompleteAsync(Request, Cancellation));
        Assert.Equal((FlamingoErrorKind.InvalidArgument, "flamingo-tenant"), (refused.Kind, refused.Faults.Single().Field));
        using var answer = await server.GetAsync("/v1/models", key, ("flamingo-tenant", "paris"));
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        using var body = JsonDocument.Parse(await answer.Content.ReadAsStreamAsync(Cancellation), default);
        Assert.Equal("flamingo-tenant", body.RootElement.GetProperty("error").GetProperty("param").GetString());
        Assert.Empty(server.Flamingo.Tenants);
    }

    [Fact(Timeout = 60_000)]
    public async Task Health_checks_need_no_key_and_reflection_does()
    {
        await using var server = await SecuredServer.StartAsync();
        var channel = server.Channel();
        var health = await new Health.HealthClient(channel).CheckAsync(
            new HealthCheckRequest(), new Metadata { { "flamingo-tenant", "x" } }, cancellationToken: Cancellation);
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, health.Status);

        var reflection = new ServerReflection.ServerReflectionClient(channel);
        Assert.Equal(StatusCode.Unauthenticated, (await Assert.ThrowsAsync<RpcException>(() => ListAsync([]))).StatusCode);
        var key = server.NewKey("berlin");
        Assert.True(await ListAsync(new Metadata { { "authorization", $"Bearer {key}" } }) > 2);

        async Task<int> ListAsync(Metadata metadata)
        {
            using var call = reflection.ServerReflectionInfo(metadata, cancellationToken: Cancellation);
            var answer = call.ResponseStream.MoveNext(Cancellation);
            try
            {
                await call.RequestStream.WriteAsync(new ServerReflectionRequest { ListServices = "" }, Cancellation);
            }
            catch (Exception exception) when (exception is RpcException or InvalidOperationException)
            {
                // The call may be refused before anything is written; the answer says so.
            }

            Assert.True(await answer);
            return call.ResponseStream.Current.ListServicesResponse.Service.Count;
        }
    }

    [Theory(Timeout = 60_000)]
    [InlineData(null, KeyEntry.User, false)]
    [InlineData(null, KeyEntry.Operator, true)]
    [InlineData(OperatorCalls.All, KeyEntry.User, false)]
    [InlineData(OperatorCalls.None, KeyEntry.Operator, false)]
    public async Task The_role_decides_over_the_calls_of_operators(string? option, string role, bool isAllowed)
    {
        await using var server = await SecuredServer.StartAsync(operators: option);
        var client = server.Client(server.NewKey("berlin", role));
        await client.LatentCache.GetStatisticsAsync(Cancellation);
        var refused = await Record.ExceptionAsync(() => client.LatentCache.ClearAsync(Cancellation));
        Assert.Equal(isAllowed ? null : FlamingoErrorKind.PermissionDenied, (refused as FlamingoException)?.Kind);
        if (option != OperatorCalls.None && !isAllowed) Assert.Contains("role operator", refused!.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_bytes_of_a_request_are_those_of_the_keys_tenant()
    {
        // One tenant may have 8 MiB in flight, and a request counts twice while it arrives.
        await using var server = await SecuredServer.StartAsync(options: ("Requests:MaxInFlightBytes", "16MiB"));
        var (berlin, paris) = (server.NewKey("berlin"), server.NewKey("paris"));
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.Flamingo.Gate = gate.Task;
        var request = new FlamingoEncodeRequest([new FlamingoPicture(new byte[2_600_000])]);
        var held = new List<Task>();
        for (var call = 0; call < 2; call++)
        {
            held.Add(server.Client(berlin).EncodeAsync(request, Cancellation));
            await server.Flamingo.Entered.WaitAsync(Cancellation);
        }

        var refused = await Assert.ThrowsAsync<FlamingoException>(() => server.Client(berlin).EncodeAsync(request, Cancellation));
        Assert.StartsWith("This tenant's requests hold", refused.Message, StringComparison.Ordinal);
        held.Add(server.Client(paris).EncodeAsync(request, Cancellation));
        await server.Flamingo.Entered.WaitAsync(Cancellation);
        Assert.Equal(2, server.Budget.Tenants);
        gate.SetResult();
        await Task.WhenAll(held);
    }

    [Theory(Timeout = 60_000)]
    [InlineData(true, "0.0.0.0", false)]
    [InlineData(false, "0.0.0.0", true)]
    [InlineData(false, "127.0.0.1", false)]
    public async Task A_server_that_everybody_reaches_without_keys_warns_in_one_line(bool hasKeys, string listen, bool warns)
    {
        await using var server = await SecuredServer.StartAsync(hasKeys, IPAddress.Parse(listen));
        var warnings = server.Logs.Where(line => line.StartsWith("6300 Warning", StringComparison.Ordinal)).ToList();
        Assert.Equal(warns ? 1 : 0, warnings.Count);
        if (warns) Assert.All(["Security:KeysFile", "Endpoints:Listen"], option =>
            Assert.Contains(option, warnings[0], StringComparison.Ordinal));
        if (!hasKeys) Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/v1/models", null, ("flamingo-tenant", "x"))).StatusCode);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("", null)]
    [InlineData("https://app.example.org, https://other.example.org", "https://app.example.org")]
    [InlineData("*", "*")]
    public async Task Pages_of_allowed_origins_may_call(string origins, string? allowed)
    {
        await using var server = await SecuredServer.StartAsync(options: ("Security:CorsOrigins", origins));
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "/v1/models");
        preflight.Headers.Add("Origin", "https://app.example.org");
        preflight.Headers.Add("Access-Control-Request-Method", "GET");
        preflight.Headers.Add("Access-Control-Request-Headers", "authorization");
        using var answer = await server.Web.SendAsync(preflight, Cancellation);
        Assert.Equal(allowed is null ? HttpStatusCode.Unauthorized : HttpStatusCode.NoContent, answer.StatusCode);
        // A refusal is readable for the page too.
        using var refused = await server.GetAsync("/v1/models", null, ("Origin", "https://app.example.org"));
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        foreach (var response in new[] { answer, refused })
            Assert.Equal(allowed, response.Headers.TryGetValues("Access-Control-Allow-Origin", out var values) ? values.Single() : null);
        using var foreign = await server.GetAsync("/v1/models", null, ("Origin", "https://evil.example.org"));
        Assert.Equal(allowed == "*", foreign.Headers.Contains("Access-Control-Allow-Origin"));
    }

    /// <summary>A body that is never complete.</summary>
    private sealed class EndlessBody : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, default);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            await stream.FlushAsync(cancellationToken);
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
