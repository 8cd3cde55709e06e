using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults;

/// <summary>The life of a service between its registration and its end.</summary>
public static class ServiceRun
{
    private static readonly TimeSpan Reminder = TimeSpan.FromSeconds(5);

    /// <summary>What can be known to be wrong before a model is loaded.</summary>
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
                    _ => null, // no IPv6 on this machine, say: the server itself makes do without
                };
                if (reason is null) continue;
                throw new IOException($"Port {endpoints.GrpcPort} cannot be used: {reason} another Endpoints:GrpcPort.", exception);
            }
        }
    }

    /// <summary>
    /// Serves until a signal or the token tells it to stop, then lets calls under way end, as long as
    /// <see cref="EndpointOptions.DrainTimeout"/> allows, and says which. A signal meanwhile cuts them off.
    /// </summary>
    /// <param name="started">Once it listens.</param>
    /// <param name="tell">Takes a sentence for the operator.</param>
    /// <returns>False: calls were cut off by a second signal.</returns>
    public static async Task<bool> ServeAsync(
        this WebApplication app, Func<Task> started, Action<string> tell, CancellationToken cancellation)
    {
        await app.StartAsync(cancellation);
        await started();
        using (var told = CancellationTokenSource.CreateLinkedTokenSource(app.Lifetime.ApplicationStopping, cancellation))
            await Task.Delay(Timeout.InfiniteTimeSpan, told.Token).ContinueWith(static _ => { }, TaskScheduler.Default);

        var atOnce = new CancellationTokenSource(); // never disposed of: a last signal may come just now
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cut);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cut);
        await StopAsync(app, tell, atOnce.Token);
        return !atOnce.IsCancellationRequested;

        void Cut(PosixSignalContext signal)
        {
            signal.Cancel = true; // the process ends by itself, and says how
            atOnce.Cancel();
        }
    }

    private static async Task StopAsync(WebApplication app, Action<string> tell, CancellationToken atOnce)
    {
        var calls = app.Services.GetRequiredService<RunningCalls>();
        var longest = app.Services.GetRequiredService<IOptions<EndpointOptions>>().Value.DrainTimeout;
        var (time, begun) = (TimeProvider.System, TimeProvider.System.GetTimestamp());
        var stopping = app.StopAsync(atOnce);
        using var reminder = new PeriodicTimer(Reminder, time);
        do
        {
            var left = Math.Ceiling((longest - time.GetElapsedTime(begun)).TotalSeconds);
            if (calls.ToString() is { Length: > 0 } names)
                tell($"Stopping: waiting for {names}, {Math.Max(left, 0)} s at most. Ctrl-C again stops at once.");
        }
        while (await Task.WhenAny(stopping, reminder.WaitForNextTickAsync(CancellationToken.None).AsTask()) != stopping);
        await stopping;
    }
}
