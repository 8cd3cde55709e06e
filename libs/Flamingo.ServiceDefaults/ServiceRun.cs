using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Flamingo.ServiceDefaults.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults;

/// <summary>Runs a built service: checks it before the start, serves, and stops.</summary>
public static class ServiceRun
{
    private static readonly TimeSpan Reminder = TimeSpan.FromSeconds(5);

    /// <summary>Finds wrong options and a port that is in use before a model is loaded.</summary>
    /// <exception cref="OptionsValidationException">Options are invalid; faults in several sections are thrown as one
    /// <see cref="AggregateException"/>.</exception>
    /// <exception cref="IOException">The port is in use, or this user may not listen on it.</exception>
    public static void CheckBeforeStart(this WebApplication app)
    {
        app.Services.GetService<IStartupValidator>()?.Validate();
        var endpoints = app.Services.GetRequiredService<IOptions<EndpointOptions>>().Value;
        IPAddress[] addresses = endpoints.Listen == "loopback"
            ? [IPAddress.Loopback, IPAddress.IPv6Loopback]
            : [IPAddress.IPv6Any, IPAddress.Any];
        if (endpoints.HttpPort == endpoints.GrpcPort)
            throw new IOException($"Endpoints:HttpPort and Endpoints:GrpcPort are both {endpoints.GrpcPort}. Choose two ports.");
        foreach (var (port, option) in new[] { (endpoints.GrpcPort, "Endpoints:GrpcPort"), (endpoints.HttpPort, "Endpoints:HttpPort") })
            foreach (var address in addresses)
                if (port > 0) CheckPort(address, port, option);
    }

    /// <summary>
    /// Serves until a signal or the token asks the process to stop. Then it waits for the calls in flight, at most
    /// <see cref="EndpointOptions.DrainTimeout"/>, and logs them. A second signal aborts them.
    /// </summary>
    /// <param name="started">Called when the process has begun to listen.</param>
    /// <returns>False if a second signal aborted calls in flight.</returns>
    public static async Task<bool> ServeAsync(this WebApplication app, Func<Task> started, CancellationToken cancellation)
    {
        var log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(ServiceRun));
        await app.StartAsync(cancellation);
        log.Serving(app.Environment.ApplicationName, $"{typeof(ServiceRun).Assembly.GetName().Version}", IsTls(app) ? "with TLS" : "without TLS",
            Listening(app));
        if (ServiceProgram.TelemetryCollector(app.Configuration) is { } collector) log.TelemetryExported(collector);
        await started();
        using (var stopRequested = CancellationTokenSource.CreateLinkedTokenSource(app.Lifetime.ApplicationStopping, cancellation))
            await Task.Delay(Timeout.InfiniteTimeSpan, stopRequested.Token).ContinueWith(static _ => { }, TaskScheduler.Default);

        var atOnce = new CancellationTokenSource(); // not disposed, because a signal may still arrive during the shutdown
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, AbortCalls);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, AbortCalls);
        await StopAsync(app, log, atOnce.Token);
        return !atOnce.IsCancellationRequested;

        void AbortCalls(PosixSignalContext signal)
        {
            signal.Cancel = true; // the process ends by itself with its own exit code
            atOnce.Cancel();
        }
    }

    /// <summary>Whether the app's ports for callers use TLS.</summary>
    public static bool IsTls(this WebApplication app) => app.Services.GetRequiredService<IOptions<TlsOptions>>().Value.IsOn;

    private static string Listening(WebApplication app)
    {
        var http = app.Services.GetRequiredService<IOptions<EndpointOptions>>().Value.HttpPort;
        var urls = app.Urls.ToLookup(url => http > 0 && url.EndsWith($":{http}", StringComparison.Ordinal));
        var grpc = string.Join(", ", urls[false]);
        return urls[true].Any() ? $"{grpc}, and HTTP/1.1 on {string.Join(", ", urls[true])}" : grpc;
    }

    private static void CheckPort(IPAddress address, int port, string option)
    {
        try
        {
            using var listener = new TcpListener(address, port);
            listener.Start();
        }
        catch (SocketException exception)
        {
            var reason = exception.SocketErrorCode switch
            {
                SocketError.AddressAlreadyInUse => "another process already listens there. Stop that process, or choose",
                SocketError.AccessDenied => "this user may not listen there. Choose",
                _ => null, // for example a machine without IPv6, where the server listens only on IPv4
            };
            if (reason is not null) throw new IOException($"Port {port} cannot be used: {reason} another {option}.", exception);
        }
    }

    private static async Task StopAsync(WebApplication app, ILogger log, CancellationToken atOnce)
    {
        var calls = app.Services.GetRequiredService<RunningCalls>();
        var longest = app.Services.GetRequiredService<IOptions<EndpointOptions>>().Value.DrainTimeout;
        var (time, begun) = (TimeProvider.System, TimeProvider.System.GetTimestamp());
        var stopping = app.StopAsync(atOnce);
        using var reminder = new PeriodicTimer(Reminder, time);
        do
        {
            var left = Math.Ceiling((longest - time.GetElapsedTime(begun)).TotalSeconds);
            if (calls.ToString() is { Length: > 0 } names) log.Draining(names, Math.Max(left, 0));
        }
        while (await Task.WhenAny(stopping, reminder.WaitForNextTickAsync(CancellationToken.None).AsTask()) != stopping);
        await stopping;
        log.Stopped();
    }
}
