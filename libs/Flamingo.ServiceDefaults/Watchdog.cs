using Flamingo.Stages;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults;

/// <summary>
/// Watches all workers of a process and the thread pool, on a thread of its own. A worker whose unit of work lasts longer than
/// <see cref="HealthOptions.LiveTimeout"/> makes the process not live. If it lasts longer than
/// <see cref="HealthOptions.ExitTimeout"/>, the process ends. A worker that has ended with an error makes the process not live at
/// once, and the process stops in an orderly way.
/// <para>
/// Only time in which this thread runs counts, so that a process that was suspended is not taken for a stuck one.
/// </para>
/// </summary>
public sealed class Watchdog : IHostedService, IDisposable
{
    /// <summary>The exit code of a process that ends because it is stuck or because a worker has ended with an error.</summary>
    public const int ExitCode = 71;

    /// <summary>How long an orderly stop may take in addition to <see cref="EndpointOptions.DrainTimeout"/>.</summary>
    private static readonly TimeSpan LongestStop = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan LongestPeriod = TimeSpan.FromSeconds(1), LongestFlush = TimeSpan.FromSeconds(2);

    private readonly IReadOnlyList<Worker> _workers;
    private readonly Dictionary<Worker, (long Unit, TimeSpan Time)> _seen = [];
    private readonly Worker _pool = new("the thread pool");
    private readonly HealthOptions _health;
    private readonly TimeSpan _drainTimeout;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Action<int> _exit;
    private readonly ManualResetEventSlim _disposed = new();
    private volatile string? _stuck;
    private TimeSpan? _stopping; // since a worker has ended with an error

    /// <param name="exit">Ends the process with an exit code; it need not return.</param>
    public Watchdog(
        IEnumerable<WorkerGroup> groups, IOptions<HealthOptions> health, IOptions<EndpointOptions> endpoints,
        IHostApplicationLifetime lifetime, TimeProvider time, ILogger<Watchdog> log, Action<int> exit)
    {
        _workers = [.. groups.SelectMany(group => group.Workers).Append(_pool).Distinct()];
        (_health, _drainTimeout, _lifetime) = (health.Value, endpoints.Value.DrainTimeout, lifetime);
        (_time, _log, _exit) = (time, log, exit);
    }

    /// <summary>Why the process is not live, as a sentence; null if it is live.</summary>
    public string? Stuck => _stuck;

    private TimeSpan Period => _health.LiveTimeout / 4 < LongestPeriod ? _health.LiveTimeout / 4 : LongestPeriod;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        new Thread(Run) { IsBackground = true, Name = "watchdog" }.Start();
        return Task.CompletedTask;
    }

    /// <summary>Does nothing: a process that stops is still watched, because a stuck worker would keep it from ending.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _disposed.Set();

    /// <summary>Looks at all workers once. The watchdog's thread calls it periodically.</summary>
    /// <param name="elapsed">Time since the last call.</param>
    public void Observe(TimeSpan elapsed)
    {
        var (worst, longest) = ("", TimeSpan.Zero);
        foreach (var worker in _workers)
        {
            if (worker.Failure is { } failure)
            {
                StopFor(worker, failure, elapsed);
                return;
            }

            if (worker.Running is not { } unit)
            {
                _seen.Remove(worker);
                continue;
            }

            var time = _seen.TryGetValue(worker, out var seen) && seen.Unit == unit ? seen.Time + elapsed : TimeSpan.Zero;
            _seen[worker] = (unit, time);
            if (time > longest) (worst, longest) = (worker.Name, time);
        }

        var wasLive = _stuck is null;
        _stuck = longest >= _health.LiveTimeout ? $"One unit of work of {worst} has taken {Seconds(longest)} and has not ended." : null;
        if (wasLive && _stuck is not null) _log.NotLive(_stuck);
        if (!wasLive && _stuck is null) _log.LiveAgain();
        if (longest >= _health.ExitTimeout) Exit(_stuck!);
    }

    private void Run()
    {
        var last = _time.GetTimestamp();
        while (true)
        {
            if (_disposed.Wait(Period) && _stopping is null) return;
            var (now, most) = (_time.GetTimestamp(), Period * 2);
            var elapsed = _time.GetElapsedTime(last, now);
            last = now;
            Observe(elapsed < most ? elapsed : most);
            if (_pool.Running is not null) continue;
            _pool.Begin();
            ThreadPool.UnsafeQueueUserWorkItem(static pool => pool.End(), _pool, preferLocal: false);
        }
    }

    // The rest of the process works, so calls that do not need the worker are answered before it ends.
    private void StopFor(Worker worker, Exception failure, TimeSpan elapsed)
    {
        if (_stopping is null)
        {
            _stuck = $"{worker.Name} has ended with an error: {failure.Message}";
            _stopping = TimeSpan.Zero;
            _log.WorkerEnded(worker.Name, failure.Message);
            if (Environment.ExitCode == 0) Environment.ExitCode = ExitCode;
            ThreadPool.UnsafeQueueUserWorkItem(static lifetime => lifetime.StopApplication(), _lifetime, preferLocal: false);
            return;
        }

        _stopping += elapsed;
        if (_stopping >= _drainTimeout + LongestStop) Exit($"The process was to stop and has not ended within {Seconds(_stopping.Value)}.");
    }

    private void Exit(string reason)
    {
        _log.ProcessEnds(reason, Environment.ExitCode == 0 ? ExitCode : Environment.ExitCode);
        _exit(Environment.ExitCode == 0 ? ExitCode : Environment.ExitCode);
    }

    private static string Seconds(TimeSpan time) => $"{time.TotalSeconds:0.0} s";

    /// <summary>
    /// Ends the process after the log was written. Nothing else is disposed, because a stuck worker would keep it from ending.
    /// </summary>
    internal static void ExitProcess(ILoggerFactory logs, int code)
    {
        var flush = new Thread(logs.Dispose) { IsBackground = true };
        flush.Start();
        flush.Join(LongestFlush);
        var exit = new Thread(() => Environment.Exit(code)) { IsBackground = true };
        exit.Start();
        if (!exit.Join(LongestFlush)) Environment.FailFast("The process is stuck and did not end by itself.");
    }
}
