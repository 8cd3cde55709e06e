using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults;

/// <summary>The life of a service between its registration and its end.</summary>
public static class ServiceRun
{
    private static readonly TimeSpan Reminder = TimeSpan.FromSeconds(5);

    /// <summary>Finds wrong options and a port that is in use before a model is loaded.</summary>
    /// <exception cref="OptionsValidationException">Options; several sections come as one <see cref="AggregateException"/>.</exception>
    /// <exception cref="IOException">The port is in use, or not ours to use.</exception>
    public static void CheckBeforeStart(this WebApplication app)
    {
        app.Services.GetService<IStartupValidator>()?.Validate();
        var endpoints = app.Services.GetRequiredService<IOptions<EndpointOptions>>().Value;
        IPAddress[] addresses = endpoints.Listen == "loopback"
            ? [IPAddress.Loopback, IPAddress.IPv6Loopback]
            : [IPAddress.IPv6Any, IPAddress.Any];
        foreach (var address in addresses)
        {
            try
            {
                using var listener = new TcpListener(address, endpoints.GrpcPort);
                listener.Start();
            }
            catch (SocketException exception)
            {
                var reason = exception.SocketErrorCode switch
                {
                    SocketError.AddressAlreadyInUse => "something listens there already. End it, or choose",
                    SocketError.AccessDenied => "this user may not listen there. Choose",
                    _ => null, // there may be no IPv6 on this machine, for example; the server goes on without it
                };
                if (reason is null) continue;
                throw new IOException($"Port {endpoints.GrpcPort} cannot be used: {reason} another Endpoints:GrpcPort.", exception);
            }
        }
    }

    /// <summary>
    /// Serves until a signal or the token asks the process to stop, then waits for the calls that are being answered, as long as
    /// <see cref="EndpointOptions.DrainTimeout"/> allows, and logs which they are. A second signal cuts them off.
    /// </summary>
    /// <param name="started">Called once the process listens.</param>
    /// <returns>False: calls were cut off by a second signal.</returns>
    public static async Task<bool> ServeAsync(this WebApplication app, Func<Task> started, CancellationToken cancellation)
    {
        var log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(ServiceRun));
        await app.StartAsync(cancellation);
        log.Serving(app.Environment.ApplicationName, $"{typeof(ServiceRun).Assembly.GetName().Version}", string.Join(", ", app.Urls));
        if (ServiceProgram.TelemetryCollector(app.Configuration) is { } collector) log.TelemetryExported(collector);
        await started();
        using (var told = CancellationTokenSource.CreateLinkedTokenSource(app.Lifetime.ApplicationStopping, cancellation))
            await Task.Delay(Timeout.InfiniteTimeSpan, told.Token).ContinueWith(static _ => { }, TaskScheduler.Default);

        var atOnce = new CancellationTokenSource(); // never disposed, because a signal may still arrive at the very end
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cut);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cut);
        await StopAsync(app, log, atOnce.Token);
        return !atOnce.IsCancellationRequested;

        void Cut(PosixSignalContext signal)
        {
            signal.Cancel = true; // the process ends by itself, and says how
            atOnce.Cancel();
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
