using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Cli.Serving;
using Microsoft.AspNetCore.Builder;

namespace Flamingo.Cli.Batching;

/// <summary>
/// Asks lines in the format of OpenAI's batch files, <c>{"custom_id", "method": "POST", "url": "/v1/chat/completions", "body"}</c>, by
/// sending each body to the HTTP port of a server: of a running one, or of one that this process starts for itself on loopback.
/// </summary>
internal sealed class OpenAiBatch : IAsyncDisposable
{
    private static readonly string[] Known = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"];

    private readonly HttpClient _http;
    private readonly WebApplication? _own;

    private OpenAiBatch(HttpClient http, WebApplication? own) => (_http, _own) = (http, own);

    /// <param name="server">Address of a server's HTTP port.</param>
    /// <exception cref="UsageException">The key or the certificates that were given cannot be used.</exception>
    public static OpenAiBatch Connect(ParseResult parsed, Uri server, string tenant)
    {
        var (key, (authorities, own)) = (KeyOption.Of(parsed), CertificateOptions.Read(parsed));
        var handler = new SocketsHttpHandler();
        if (own is not null) handler.SslOptions.ClientCertificateContext = SslStreamCertificateContext.Create(own, null, offline: true);
        if (authorities is not null)
        {
            handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck,
            };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
        }

        // A long answer may take longer than HttpClient's default; the server has limits of its own.
        var http = new HttpClient(handler) { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan };
        if (key is not null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        if (tenant.Length > 0) http.DefaultRequestHeaders.Add("flamingo-tenant", tenant);
        return new OpenAiBatch(http, null);
    }

    /// <summary>Loads a model and serves it to this process alone.</summary>
    public static async Task<OpenAiBatch> StartAsync(string? model, IReadOnlyList<string> settings, CancellationToken cancellation)
    {
        var (grpc, http) = (FreePort(), FreePort());
        var own = ServeCommand.Build(settings, ("Model:Directory", model), ("Endpoints:Listen", "loopback"),
            ("Logging:LogLevel:Flamingo", "Warning"), ("Tls:CertificateFile", ""), ("Tls:KeyFile", ""), ("Tls:ClientCaFile", ""),
            ("Tls:ClientNames", ""),
            ("Endpoints:GrpcPort", grpc.ToString(CultureInfo.InvariantCulture)),
                ("Endpoints:HttpPort", http.ToString(CultureInfo.InvariantCulture)));
        await own.StartAsync(cancellation);
        return new OpenAiBatch(new HttpClient { BaseAddress = new Uri($"http://localhost:{http}"), Timeout = Timeout.InfiniteTimeSpan },
            own);
    }

    /// <summary>The digests of the weights of the vision encoder, the resampler and the language model that answer.</summary>
    /// <exception cref="FlamingoException">There is no HTTP port of a server at the address, or it does not let this caller in.</exception>
    public async Task<IReadOnlyList<string>> DigestsAsync(CancellationToken cancellation)
    {
        const string Remedy = "Lines of OpenAI's format go to the HTTP port of a server, for example http://localhost:8081.";
        try
        {
            using var response = await _http.GetAsync("/flamingo/v1/model", cancellation);
            if (response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
                throw new FlamingoException(FlamingoErrorKind.Unauthenticated,
                    $"{_http.BaseAddress} answers {(int)response.StatusCode}. Give a key of this server with --key.");
            if (!response.IsSuccessStatusCode)
                throw new FlamingoException(
                    FlamingoErrorKind.Unavailable, $"{_http.BaseAddress} answers {(int)response.StatusCode}. {Remedy}");
            using var model = JsonDocument.Parse(await response.Content.ReadAsStringAsync(cancellation));
            return [.. new[] { "vision", "resampler", "language" }.Select(
                part => model.RootElement.GetProperty(part).GetProperty("weightsDigest").GetString()!)];
        }
        catch (HttpRequestException away)
        {
            throw new FlamingoException(
                FlamingoErrorKind.Unavailable, $"{_http.BaseAddress} cannot be reached: {away.Message}. {Remedy}", away);
        }
        catch (Exception other) when (other is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FlamingoException(FlamingoErrorKind.Unavailable, $"{_http.BaseAddress} is no server of this kind. {Remedy}", other);
        }
    }

    /// <returns>The members <c>id</c>, <c>response</c> and <c>error</c> of OpenAI's output lines.</returns>
    /// <exception cref="FlamingoException">
    /// InvalidArgument: the line is not a request of the format. Overloaded or Unavailable: the server says so; the line may be sent again.
    /// </exception>
    public async Task<JsonObject> AskAsync(JsonElement line, CancellationToken cancellation)
    {
        var (path, body) = Read(line);
        using var request = new HttpRequestMessage(HttpMethod.Post,
            path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        try
        {
            using var response = await _http.SendAsync(request, cancellation);
            if (response.StatusCode is HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable or HttpStatusCode.BadGateway)
                throw new FlamingoException(
                    response.StatusCode == HttpStatusCode.TooManyRequests ? FlamingoErrorKind.Overloaded : FlamingoErrorKind.Unavailable,
                    $"The server answered {(int)response.StatusCode}.") { RetryAfter = response.Headers.RetryAfter?.Delta };
            var text = await response.Content.ReadAsStringAsync(cancellation);
            var requestId = response.Headers.TryGetValues("x-request-id", out var ids) ? ids.First() : "";
            return new JsonObject
            {
                ["id"] = $"batch_req_{requestId}",
                ["response"] = new JsonObject { ["status_code"] = (int)response.StatusCode, ["request_id"] = requestId,
                    ["body"] = Body(text) },
                ["error"] = null,
            };
        }
        catch (HttpRequestException away)
        {
            throw new FlamingoException(FlamingoErrorKind.Unavailable, $"{_http.BaseAddress} cannot be reached: {away.Message}", away);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        if (_own is null) return;
        await _own.StopAsync();
        await _own.DisposeAsync();
    }

    private static (string Path, string Body) Read(JsonElement line)
    {
        var faults = new List<string>();
        foreach (var member in line.EnumerateObject().Select(member => member.Name).Except(["custom_id", "method", "url", "body"]))
            faults.Add($"{member}: is not a member of OpenAI's batch lines. Known are custom_id, method, url and body.");
        String("custom_id");
        var (method, url) = (String("method"), String("url"));
        if (method is not null && method != "POST") faults.Add($"method: must be POST, not {method}.");
        if (url is not null && !Known.Contains(url)) faults.Add($"url: must be one of {string.Join(", ", Known)}, not {url}.");
        var body = line.TryGetProperty("body", out var given) && given.ValueKind == JsonValueKind.Object ? given : default;
        if (body.ValueKind == JsonValueKind.Undefined) faults.Add("body: must be an object, the body of the request.");
        else if (body.TryGetProperty("stream", out var stream) && stream.ValueKind == JsonValueKind.True)
            faults.Add("body.stream: an answer in a file is not streamed. Leave it out.");
        return faults.Count == 0 ? (url!, body.GetRawText())
            : throw new FlamingoException(FlamingoErrorKind.InvalidArgument, string.Join(' ', faults));

        string? String(string name)
        {
            if (line.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String) return value.GetString();
            faults.Add($"{name}: must be a string.");
            return null;
        }
    }

    private static JsonNode? Body(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            return JsonValue.Create(text); // not this server's answer, perhaps a proxy's
        }
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
