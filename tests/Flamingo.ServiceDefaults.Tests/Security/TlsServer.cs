using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Fixtures;
using Flamingo.Testing.Certificates;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Testing;

namespace Flamingo.ServiceDefaults.Tests.Security;

/// <summary>A service with the health checks alone, whose options of TLS a test chooses.</summary>
internal sealed class TlsServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly FakeLoggerProvider _logs;

    private TlsServer(WebApplication app, FakeLoggerProvider logs, int port, int http) =>
        (_app, _logs, Port, HttpPort) = (app, logs, port, http);

    public int Port { get; }

    public int HttpPort { get; }

    /// <summary>Messages of warnings and errors.</summary>
    public IReadOnlyList<string> Warnings =>
        [.. _logs.Collector.GetSnapshot().Where(entry => entry.Level >= LogLevel.Warning).Select(entry => entry.Message)];

    /// <param name="options">Keys below <c>Tls</c>, with their values.</param>
    public static async Task<TlsServer> StartAsync(TimeProvider time, params (string Key, string Value)[] options)
    {
        var (port, http, logs) = (FreePort.Next(), FreePort.Next(), new FakeLoggerProvider());
        var builder = WebApplication.CreateBuilder();
        builder.Configuration.AddInMemoryCollection(
        [
            new("Endpoints:GrpcPort", $"{port}"), new("Endpoints:HttpPort", $"{http}"), new("Endpoints:Listen", "loopback"),
            .. options.Select(option => KeyValuePair.Create($"Tls:{option.Key}", (string?)option.Value)),
        ]);
        builder.Services.AddSingleton(time);
        builder.AddServiceDefaults();
        builder.Services.AddGrpc();
        builder.Logging.ClearProviders().AddProvider(logs);
        var app = builder.Build();
        try
        {
            app.CheckBeforeStart();
            app.MapServiceDefaults();
            app.MapGet("/", () => "served");
            await app.StartAsync(TestContext.Current.CancellationToken);
            return new TlsServer(app, logs, port, http);
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }
    }

    /// <summary>Makes one health check over a connection of its own.</summary>
    /// <param name="name">The name that the caller expects in the service's certificate.</param>
    public async Task CheckAsync(TestAuthority trusted, TestCertificate? own = null, string name = "localhost")
    {
        using var channel = Channel(trusted, own, name);
        var answer = await new Health.HealthClient(channel).CheckAsync(
            new HealthCheckRequest(), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, answer.Status);
    }

    public GrpcChannel Channel(TestAuthority trusted, TestCertificate? own = null, string name = "localhost")
    {
        var handler = new SocketsHttpHandler
        {
            SslOptions = { CertificateChainPolicy = Trusting(trusted) },
            ConnectCallback = async (_, cancellation) =>
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                await socket.ConnectAsync(IPAddress.Loopback, Port, cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        if (own is not null) handler.SslOptions.ClientCertificateContext = SslStreamCertificateContext.Create(own.Load(), [], offline: true);
        return GrpcChannel.ForAddress(
            $"https://{name}:{Port}", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
    }

    public static X509ChainPolicy Trusting(TestAuthority authority)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(authority.Certificate);
        return policy;
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();
}
