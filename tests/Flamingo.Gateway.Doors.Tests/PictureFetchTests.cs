using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Doors.OpenAI;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>
/// Pictures by address, against a resolver that a test scripts. Every connection to a public address leads to one local server with TLS,
/// and the addresses that were connected to are kept.
/// </summary>
public sealed class PictureFetchTests : IAsyncLifetime, IHostAddresses
{
    private const string Good = "203.0.114.5", Allowed = "pictures.example";

    private readonly ConcurrentQueue<IPEndPoint> _connected = new();
    private readonly ConcurrentQueue<string> _resolved = new();
    private readonly ConcurrentQueue<string> _asked = new();
    private readonly TaskCompletionSource _never = new();
    private Func<string, int, string[]> _addresses = (_, _) => [Good];
    private WebApplication _host = null!;

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(Certificate())));
        _host = builder.Build();
        _host.Run(AnswerAsync);
        await _host.StartAsync(TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        _never.TrySetResult();
        await _host.DisposeAsync();
    }

    Task<IPAddress[]> IHostAddresses.FindAsync(string host, CancellationToken cancellation)
    {
        _resolved.Enqueue(host);
        return Task.FromResult(_addresses(host, _resolved.Count).Select(IPAddress.Parse).ToArray());
    }

    [Fact(Timeout = 60_000)]
    public async Task A_picture_of_an_allowed_host_is_fetched_from_the_address_that_was_checked()
    {
        await using var server = await StartAsync(TestContext.Current.CancellationToken);
        var url = $"https://{Allowed}/dog.png";
        await server.AskAsync("/v1/chat/completions", Chat(url, $"https://{Allowed.ToUpperInvariant()}:443/dog.png"));
        var files = server.Flamingo.Asked.Segments.OfType<FlamingoPicture>().ToList();
        Assert.Equal(2, files.Count);
        Assert.All(files, file => Assert.Equal("dog"u8.ToArray(), file.Bytes.ToArray()));
        Assert.All(_connected, address => Assert.Equal($"{Good}:443", address.ToString()));
        Assert.Equal(_connected.Count, _resolved.Count); // resolved once for each connection
    }

    [Theory(Timeout = 60_000)]
    [InlineData("http://pictures.example/dog.png")]
    [InlineData("ftp://pictures.example/dog.png")]
    [InlineData("file:///etc/passwd")]
    [InlineData("https://pictures.example:8443/dog.png")]
    [InlineData("https://me@pictures.example/dog.png")]
    [InlineData("https://pictures.example.evil.org/dog.png")]
    [InlineData("https://evil.org/pictures.example")]
    [InlineData("https://evil.org#@pictures.example/dog.png")]
    [InlineData("https://pictures.example@evil.org/dog.png")]
    [InlineData("https://pictures.example\\\\@evil.org/dog.png")]
    [InlineData("https://127.0.0.1/dog.png")]
    [InlineData("https://2130706433/dog.png")]
    [InlineData("https://0x7f.1/dog.png")]
    [InlineData("https://[::1]/dog.png")]
    [InlineData("https://[::ffff:127.0.0.1]/dog.png")]
    [InlineData("https://localhost/dog.png")]
    [InlineData("https:///dog.png")]
    public async Task An_address_that_is_not_allowed_is_refused_without_asking_the_network(string url)
    {
        await using var server = await StartAsync(TestContext.Current.CancellationToken);
        var error = await RefusedAsync(server, url);
        Assert.Contains(error.Code, new[] { "unsupported_url", "invalid_value" });
        Assert.Empty(_resolved);
        Assert.Empty(_connected);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("127.0.0.1")]
    [InlineData("10.1.2.3")]
    [InlineData("172.31.255.255")]
    [InlineData("192.168.0.1")]
    [InlineData("169.254.169.254")]
    [InlineData("100.64.0.1")]
    [InlineData("100.127.255.255")]
    [InlineData("0.0.0.0")]
    [InlineData("224.0.0.1")]
    [InlineData("255.255.255.255")]
    [InlineData("198.18.0.1")]
    [InlineData("::1")]
    [InlineData("::")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("::ffff:10.0.0.1")]
    [InlineData("::ffff:203.0.114.5", true)]
    [InlineData("::127.0.0.1")]
    [InlineData("64:ff9b::7f00:1")]
    [InlineData("2002:7f00:1::")]
    [InlineData("2001:0:1::")]
    [InlineData("2001:db8::1")]
    [InlineData("fc00::1")]
    [InlineData("fd12:3456::1")]
    [InlineData("fe80::1")]
    [InlineData("ff02::1")]
    [InlineData("2606:4700::1111", true)]
    [InlineData("203.0.114.5", true)]
    public async Task One_address_that_is_not_public_refuses_the_host(string address, bool isPublic = false)
    {
        Assert.Equal(isPublic, PublicAddress.IsPublic(IPAddress.Parse(address)));
        _addresses = (_, _) => [Good, address];
        await using var server = await StartAsync(TestContext.Current.CancellationToken);
        if (isPublic)
        {
            await server.AskAsync("/v1/chat/completions", Chat($"https://{Allowed}/dog.png"));
            return;
        }

        var error = await RefusedAsync(server, $"https://{Allowed}/dog.png");
        Assert.Contains("not public", error.Message, StringComparison.Ordinal);
        Assert.Empty(_connected);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_host_whose_address_changes_is_checked_at_every_connection()
    {
        _addresses = (_, asked) => asked == 1 ? [Good] : ["127.0.0.1"];
        await using var server = await StartAsync(TestContext.Current.CancellationToken);
        // the second connection, for the redirect, resolves again
        var error = await RefusedAsync(server, $"https://{Allowed}/redirect?to=/dog.png");
        Assert.Contains("not public", error.Message, StringComparison.Ordinal);
        Assert.All(_connected, address => Assert.Equal(Good, address.Address.ToString()));
    }

    [Theory(Timeout = 60_000)]
    [InlineData("https://evil.org/dog.png", "not among")]
    [InlineData("http://pictures.example/dog.png", "Only https")]
    [InlineData("https://pictures.example:8443/dog.png", "port 443")]
    [InlineData("file:///etc/passwd", "Only https")]
    [InlineData("https://127.0.0.1/", "not among")]
    [InlineData("//evil.org/dog.png", "not among")]
    public async Task A_redirect_to_another_place_is_not_followed(string to, string reason)
    {
        await using var server = await StartAsync(TestContext.Current.CancellationToken);
        var error = await RefusedAsync(server, $"https://{Allowed}/redirect?to={Uri.EscapeDataString(to)}");
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.Equal("picture_not_fetched", error.Code);
        Assert.Single(_asked);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("/loop", "redirects more than 3 times")]
    [InlineData("/nowhere", "answers 404")]
    [InlineData("/large", "sends more than")]
    [InlineData("/large-chunked", "sends more than")]
    [InlineData("/redirect", "without a place")]
    public async Task What_a_host_sends_is_bounded(string path, string reason)
    {
        await using var server = await StartAsync(TestContext.Current.CancellationToken);
        var error = await RefusedAsync(server, $"https://{Allowed}{path}");
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_redirect_within_the_allowed_hosts_is_followed()
    {
        await using var server = await StartAsync(TestContext.Current.CancellationToken);
        await server.AskAsync("/v1/chat/completions", Chat($"https://{Allowed}/redirect?to=https%3A%2F%2Fother.example%2Fdog.png"));
        Assert.Equal([Allowed, "other.example"], _resolved);
    }

    [Fact(Timeout = 60_000)]
    public async Task Sixty_hosts_that_hang_hold_up_nobody_and_more_are_refused()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await StartAsync(cancellation, ("Doors:PictureTimeout", "1m"), ("Doors:MaxPictureFetches", "60"));
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var hanging = Enumerable.Range(0, 60).Select(_ => server.Client.PostAsync(
            new Uri("/v1/chat/completions", UriKind.Relative),
            new StringContent(Chat($"https://{Allowed}/hang"), System.Text.Encoding.UTF8, "application/json"), ending.Token)).ToList();
        while (_asked.Count(path => path == "/hang") < 60) await Task.Yield();
        await server.AskAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"hi"}]}""");
        using var refused = await server.ChatAsync(Chat($"https://{Allowed}/dog.png"));
        Assert.Equal((HttpStatusCode.TooManyRequests, 1), (refused.StatusCode, (int)refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds));
        Assert.Single(server.Flamingo.Requests);
        await ending.CancelAsync();
        foreach (var one in hanging) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => one);
        // the fetches of callers that went away end
        HttpStatusCode status;
        do
        {
            using var answer = await server.ChatAsync(Chat($"https://{Allowed}/dog.png"));
            status = answer.StatusCode;
        }
        while (status == HttpStatusCode.TooManyRequests);
        Assert.Equal(HttpStatusCode.OK, status);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_host_that_is_slow_is_given_up()
    {
        await using var server = await StartAsync(TestContext.Current.CancellationToken, ("Doors:PictureTimeout", "200ms"));
        var error = await RefusedAsync(server, $"https://{Allowed}/hang");
        Assert.Contains("within 0.2 s", error.Message, StringComparison.Ordinal);
    }

    private static X509Certificate2 Certificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={Allowed}", key, HashAlgorithmName.SHA256);
        var from = DateTimeOffset.FromUnixTimeSeconds(1_600_000_000);
        using var made = request.CreateSelfSigned(from, from.AddYears(50));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }

    private async Task AnswerAsync(HttpContext context)
    {
        _asked.Enqueue(context.Request.Path);
        switch (context.Request.Path.Value)
        {
            case "/dog.png":
                await context.Response.WriteAsync("dog", context.RequestAborted);
                break;
            case "/redirect":
                context.Response.StatusCode = 302;
                if (context.Request.Query["to"].FirstOrDefault() is { } to) context.Response.Headers.Location = to;
                break;
            case "/loop":
                context.Response.StatusCode = 307;
                context.Response.Headers.Location = "/loop";
                break;
            case "/large":
                context.Response.ContentLength = 20 << 20;
                await context.Response.Body.WriteAsync(new byte[1 << 20], context.RequestAborted);
                await _never.Task.WaitAsync(context.RequestAborted);
                break;
            case "/large-chunked":
                for (var part = 0; part < 20; part++) await context.Response.Body.WriteAsync(new byte[1 << 20], context.RequestAborted);
                break;
            case "/hang":
                await _never.Task.WaitAsync(context.RequestAborted);
                break;
            default:
                context.Response.StatusCode = 404;
                break;
        }
    }

    private Task<DoorServer> StartAsync(CancellationToken cancellation, params (string Key, string Value)[] settings) =>
        DoorServer.StartAsync(
        cancellation,
        services => services.AddSingleton(provider => new PictureFetch(
            provider.GetRequiredService<IOptions<DoorOptions>>(), this, TimeProvider.System, ConnectAsync,
            handler => handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true)),
        [("Doors:PictureHosts", $"{Allowed}, other.example"), .. settings]);

    private async Task<Stream> ConnectAsync(IPEndPoint address, CancellationToken cancellation)
    {
        _connected.Enqueue(address);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, new Uri(_host.Urls.First()).Port, cancellation);
        return new NetworkStream(socket, ownsSocket: true);
    }

    private static string Chat(params string[] urls) => JsonSerializer.Serialize(new
    {
        messages = new[]
        {
            new { role = "user", content = urls.Select(url => new { type = "image_url", image_url = new { url } }) },
        },
    });

    private static async Task<(string Message, string Code)> RefusedAsync(DoorServer server, string url)
    {
        using var answer = await server.ChatAsync(Chat(url));
        var text = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(answer.StatusCode == HttpStatusCode.BadRequest, text);
        var error = JsonElement.Parse(text).GetProperty("error");
        Assert.Equal("messages[0].content[0].image_url.url", error.GetProperty("param").GetString());
        Assert.Empty(server.Flamingo.Requests);
        return (error.GetProperty("message").GetString()!, error.GetProperty("code").GetString()!);
    }
}
