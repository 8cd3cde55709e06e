using System.Net;
using System.Net.Sockets;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Fixtures;
using Flamingo.ServiceDefaults;
using Flamingo.Testing;
using Flamingo.Transport.Serving;
using Flamingo.Transport.Serving.Arrival;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Testing;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Gateway.Doors.Tests.Ports;

/// <summary>A gateway with both of its ports, put together as the real one is, over a scripted model.</summary>
internal sealed class PortServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private PortServer(WebApplication app, int grpc, int http)
    {
        (_app, GrpcPort, HttpPort) = (app, grpc, http);
        Http = new HttpClient { BaseAddress = new Uri($"http://localhost:{http}"), Timeout = TimeSpan.FromSeconds(30) };
    }

    public int GrpcPort { get; }

    public int HttpPort { get; }

    public string GrpcAddress => $"http://localhost:{GrpcPort}";

    public string HttpAddress => $"http://localhost:{HttpPort}";

    /// <summary>A client of the HTTP port.</summary>
    public HttpClient Http { get; }

    public ByteBudget Budget => _app.Services.GetRequiredService<ByteBudget>();

    public FakeTimeProvider Time { get; private init; } = null!;

    private CancellationToken Cancellation { get; init; }

    public FakeLogCollector Logs => _app.Services.GetFakeLogCollector();

    /// <param name="cancellation">Ends every request of <see cref="SendAsync"/> and every wait.</param>
    /// <param name="settings">Options, for example <c>("Requests:MaxInFlightBytes", "16777216")</c>.</param>
    public static async Task<PortServer> StartAsync(
        ScriptedModel model, CancellationToken cancellation, params (string Name, string Value)[] settings)
    {
        var (grpc, http) = (FreePort.Next(), FreePort.Next());
        var builder = WebApplication.CreateBuilder();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>(settings.Select(
            setting => KeyValuePair.Create<string, string?>(setting.Name, setting.Value)))
        {
            ["Endpoints:GrpcPort"] = $"{grpc}", ["Endpoints:HttpPort"] = $"{http}", ["Endpoints:Listen"] = "loopback",
        });
        var time = new FakeTimeProvider();
        builder.Services.AddSingleton<TimeProvider>(time);
        builder.AddServiceDefaults();
        builder.Logging.ClearProviders().AddFakeLogging().SetMinimumLevel(LogLevel.Information);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.Zero);
        builder.Services.AddSingleton<IFlamingo>(model).AddSingleton<ITasks>(model).AddSingleton<ISupportSets>(model)
            .AddSingleton<ILatentCacheOperations>(model);
        builder.Services.AddStageServing().AddHttpDoors();
        var app = builder.Build();
        app.UseHttpDoors().MapFlamingo().MapHttpDoors();
        app.MapServiceDefaults();
        await app.StartAsync(cancellation);
        return new PortServer(app, grpc, http) { Time = time, Cancellation = cancellation };
    }

    /// <summary>Sends a text as JSON and reads the whole answer.</summary>
    public async Task<Answered> SendAsync(HttpMethod method, string path, string? json = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        if (json is not null) request.Content = new StringContent(json, Encoding.UTF8, "application/json");
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        using var response = await Http.SendAsync(request, Cancellation);
        return new Answered(response, await response.Content.ReadAsStringAsync(Cancellation));
    }

    /// <summary>Opens a connection to the HTTP port, for requests that no client would send.</summary>
    public async Task<NetworkStream> ConnectAsync()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.IPv6Loopback, HttpPort);
        return new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>Sends what no client would send, and reads until the server closes the connection.</summary>
    public async Task<string> SendRawAsync(string request)
    {
        await using var connection = await ConnectAsync();
        await connection.WriteAsync(Encoding.UTF8.GetBytes(request), Cancellation);
        using var reader = new StreamReader(connection);
        return await reader.ReadToEndAsync(Cancellation);
    }

    /// <summary>Waits for something that happens soon after an answer.</summary>
    public async Task UntilAsync(Func<bool> condition)
    {
        while (!condition()) await Task.Delay(5, Cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.DisposeAsync();
    }
}

/// <summary>An answer of the HTTP port.</summary>
internal sealed record Answered(HttpResponseMessage Response, string Text)
{
    public HttpStatusCode Status => Response.StatusCode;

    public string? Header(string name) => Response.Headers.TryGetValues(name, out var values) ? string.Join(",", values) : null;
}
