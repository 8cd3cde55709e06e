using System.Collections.Concurrent;
using System.Net;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Gateway.Security.Keys;
using Flamingo.Transport.Serving;
using Flamingo.Transport.Serving.Arrival;
using Flamingo.Wire;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Gateway.Security.Tests;

/// <summary>The public services behind security, on a port for gRPC and one for HTTP/1.1, with keys in a file of its own.</summary>
internal sealed class SecuredServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly List<IDisposable> _owned = [];

    private SecuredServer(WebApplication app, CountingFlamingo flamingo, FakeTimeProvider time, string file, ConcurrentQueue<string> logs)
    {
        (_app, Flamingo, Time, Keys, Logs) = (app, flamingo, time, new KeyFile(file), logs);
        string[] addresses = [.. app.Urls.Select(url => url.Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal))];
        (Grpc, Http) = (addresses[0], addresses[1]);
        Web = new HttpClient { BaseAddress = new Uri(Http) };
    }

    public string Grpc { get; }

    public string Http { get; }

    public HttpClient Web { get; }

    public CountingFlamingo Flamingo { get; }

    public FakeTimeProvider Time { get; }

    public KeyFile Keys { get; }

    public ConcurrentQueue<string> Logs { get; }

    public ByteBudget Budget => _app.Services.GetRequiredService<ByteBudget>();

    /// <param name="hasKeys">Whether Security:KeysFile is set; the file then has no key yet.</param>
    public static async Task<SecuredServer> StartAsync(
        bool hasKeys = true, IPAddress? listen = null, string? operators = null, params (string Key, string Value)[] options)
    {
        var (builder, flamingo, logs) = (WebApplication.CreateSlimBuilder(), new CountingFlamingo(), new ConcurrentQueue<string>());
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2030-01-01T00:00:00Z", System.Globalization.CultureInfo.InvariantCulture));
        var file = Path.Combine(Directory.CreateTempSubdirectory("flamingo-keys-").FullName, "keys.json");
        if (hasKeys)
        {
            new KeyFile(file).Change(_ => { });
            builder.Configuration["Security:KeysFile"] = file;
        }

        foreach (var (key, value) in options) builder.Configuration[key] = value;
        builder.Logging.ClearProviders().AddProvider(new Collector(logs));
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(listen ?? IPAddress.Loopback, 0, port => port.Protocols = HttpProtocols.Http2);
            kestrel.Listen(listen ?? IPAddress.Loopback, 0, port => port.Protocols = HttpProtocols.Http1);
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.Zero);
        builder.Services.AddSingleton<TimeProvider>(time);
        if (operators is not null) builder.Services.AddSingleton(new OperatorCalls(operators));
        builder.Services.AddGrpcHealthChecks().AddCheck("serving", () => HealthCheckResult.Healthy());
        builder.Services.AddGrpcReflection();
        builder.Services.AddSingleton<IFlamingo>(flamingo).AddSingleton<ISupportSets>(flamingo)
            .AddSingleton<ILatentCacheOperations>(flamingo).AddStageServing().AddFlamingoSecurity();
        var app = builder.Build();
        try
        {
            app.Services.GetRequiredService<Microsoft.Extensions.Options.IStartupValidator>().Validate();
            app.UseFlamingoSecurity().MapFlamingo();
            app.MapGrpcHealthChecksService().AllowAnonymous();
            app.MapGrpcReflectionService();
            app.MapGet("/v1/models", (HttpContext context) => $"tenant={context.Request.Headers[TenantHeader.Name]}");
            await app.StartAsync();
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }

        return new SecuredServer(app, flamingo, time, file, logs);
    }

    /// <summary>Adds a key to the file, as the command line does.</summary>
    public string NewKey(string tenant, string role = KeyEntry.User, DateTimeOffset? expires = null)
    {
        var key = AccessKey.New();
        Keys.Change(entries => entries.Add(new KeyEntry
        {
            Id = key.Id, Sha256 = Convert.ToHexStringLower(key.Digest()), Tenant = tenant, Role = role, Expires = expires,
        }));
        Time.Advance(TimeSpan.FromSeconds(1)); // the file is looked at once a second
        return key.Reveal();
    }

    public FlamingoClient Client(string? key = null, string tenant = TenantName.Default)
    {
        var client = new FlamingoClient(new FlamingoClientOptions { Addresses = [Grpc], Key = key, Tenant = tenant });
        _owned.Add(client);
        return client;
    }

    public GrpcChannel Channel()
    {
        var channel = GrpcChannel.ForAddress(Grpc);
        _owned.Add(channel);
        return channel;
    }

    public async Task<HttpResponseMessage> GetAsync(string path, string? key, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (key is not null) request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {key}");
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        return await Web.SendAsync(request, TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        Web.Dispose();
        foreach (var owned in _owned) owned.Dispose();
        await _app.DisposeAsync();
        Directory.Delete(Path.GetDirectoryName(Keys.Path)!, recursive: true);
    }

    private sealed class Collector(ConcurrentQueue<string> logs) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => new Logger(logs);

        public void Dispose()
        {
            // The test owns the list.
        }

        private sealed class Logger(ConcurrentQueue<string> logs) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(
                LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
                logs.Enqueue($"{eventId.Id} {logLevel} {formatter(state, exception)} {exception}");
        }
    }
}
