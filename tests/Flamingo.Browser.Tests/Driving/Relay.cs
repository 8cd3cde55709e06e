using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Flamingo.Browser.Tests.Driving;

/// <summary>A request that a relay passed on.</summary>
/// <param name="Path">The path that the server saw.</param>
internal sealed record Relayed(string Path, byte[] Body, IHeaderDictionary Headers);

/// <summary>A reverse proxy that serves another server below a path, and remembers what it was asked.</summary>
internal sealed class Relay : IAsyncDisposable
{
    private static readonly string[] NotPassedOn = ["Host", "Connection", "Transfer-Encoding", "Keep-Alive", "Content-Length"];

    private readonly WebApplication _app;
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    private Relay(WebApplication app) => _app = app;

    /// <summary>The address below which the other server is found; ends with a slash.</summary>
    public string Address { get; private set; } = "";

    public ConcurrentQueue<Relayed> Requests { get; } = new();

    /// <param name="target">The HTTP port of the server on this machine.</param>
    /// <param name="path">For example <c>/some/prefix/</c>.</param>
    public static async Task<Relay> StartAsync(int target, string path, CancellationToken cancellation)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var relay = new Relay(builder.Build());
        relay._app.Run(context => relay.PassAsync(context, target, path));
        await relay._app.StartAsync(cancellation);
        relay.Address = $"http://localhost:{new Uri(relay._app.Urls.First()).Port}{path}";
        return relay;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _http.Dispose();
    }

    private async Task PassAsync(HttpContext context, int target, string path)
    {
        var (request, response, aborted) = (context.Request, context.Response, context.RequestAborted);
        if (!request.Path.Value!.StartsWith(path, StringComparison.Ordinal))
        {
            response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body, aborted);
        var rest = request.Path.Value[path.Length..];
        Requests.Enqueue(new Relayed(rest, body.ToArray(), new HeaderDictionary(request.Headers.ToDictionary())));
        using var message = new HttpRequestMessage(
            HttpMethod.Parse(request.Method), $"http://127.0.0.1:{target}/{rest}{request.QueryString}");
        if (body.Length > 0) message.Content = new ByteArrayContent(body.ToArray());
        foreach (var (name, values) in request.Headers.Where(header => !NotPassedOn.Contains(header.Key, StringComparer.OrdinalIgnoreCase)))
        {
            if (!message.Headers.TryAddWithoutValidation(name, values.ToArray()))
                message.Content?.Headers.TryAddWithoutValidation(name, values.ToArray());
        }

        try
        {
            using var answer = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, aborted);
            response.StatusCode = (int)answer.StatusCode;
            foreach (var (name, values) in answer.Headers.Concat(answer.Content.Headers))
                if (!NotPassedOn.Contains(name, StringComparer.OrdinalIgnoreCase)) response.Headers[name] = values.ToArray();
            context.Features.GetRequiredFeature<IHttpResponseBodyFeature>().DisableBuffering();
            await answer.Content.CopyToAsync(response.Body, aborted);
        }
        catch (OperationCanceledException)
        {
            // the browser does not wait for the rest
        }
    }
}
