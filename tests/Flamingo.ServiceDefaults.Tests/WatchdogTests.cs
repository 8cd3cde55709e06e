using Flamingo.Stages;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults.Tests;

/// <summary>Each test calls the watchdog as its thread does, once a second, and changes Environment.ExitCode back.</summary>
public sealed class WatchdogTests : IDisposable
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly Worker _engine = new("the engine"), _thread = new("the inference thread");
    private readonly Lifetime _lifetime = new();
    private readonly List<int> _exits = [];
    private readonly Watchdog _watchdog;
    private readonly int _exitCode = Environment.ExitCode;

    public WatchdogTests() => _watchdog = new Watchdog(
        [new WorkerGroup([_engine, _thread]), new WorkerGroup([_thread])],
        Options.Create(new HealthOptions { LiveTimeout = TimeSpan.FromSeconds(20), ExitTimeout = TimeSpan.FromSeconds(50) }),
        Options.Create(new EndpointOptions { DrainTimeout = TimeSpan.FromSeconds(10) }), _lifetime, TimeProvider.System,
        NullLogger<Watchdog>.Instance, _exits.Add);

    public void Dispose()
    {
        _watchdog.Dispose();
        Environment.ExitCode = _exitCode;
    }

    [Fact]
    public void Workers_that_are_idle_or_begin_new_work_are_live_for_ever()
    {
        for (var unit = 0; unit < 200; unit++)
        {
            _engine.Begin();
            Observe(19);
            _engine.End();
            if (unit % 2 == 0) Observe(1);
        }

        Observe(1000);
        Assert.Null(_watchdog.Stuck);
        Assert.Empty(_exits);
    }

    [Fact]
    public void A_unit_that_does_not_end_is_named_then_ends_the_process_and_is_forgiven_if_it_ends()
    {
        _thread.Begin();
        _engine.Begin();
        Observe(20);
        _engine.End();
        Assert.Null(_watchdog.Stuck); // the first look does not count, because the unit may have begun just before
        Observe(1);
        Assert.Contains("the inference thread has taken 20.0 s", _watchdog.Stuck, StringComparison.Ordinal);
        Observe(29);
        Assert.Empty(_exits);
        _thread.End();
        _thread.Begin();
        Observe(1);
        Assert.Null(_watchdog.Stuck);
        Observe(50);
        Assert.Equal([Watchdog.ExitCode], _exits);
        Assert.NotNull(_watchdog.Stuck);
        Assert.False(_lifetime.Stopping.IsCancellationRequested); // an orderly stop would wait for the stuck worker
    }

    [Fact(Timeout = 30_000)]
    public async Task A_worker_that_ended_with_an_error_stops_the_process_in_order_and_later_by_force()
    {
        _engine.Fail(new InvalidOperationException("The free list is damaged."));
        Observe(1);
        Assert.Equal("the engine has ended with an error: The free list is damaged.", _watchdog.Stuck);
        await _lifetime.Stopped.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(Watchdog.ExitCode, Environment.ExitCode);
        Observe(39);
        Assert.Empty(_exits);
        Observe(1); // the time to drain and thirty seconds have passed
        Assert.Equal([Watchdog.ExitCode], _exits);
        Assert.NotNull(_watchdog.Stuck);
    }

    [Fact(Timeout = 30_000)]
    public async Task The_threads_own_loop_sees_a_thread_pool_that_works_and_a_worker_that_does_not()
    {
        var worker = new Worker("a worker");
        var exited = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        var brief = TimeSpan.FromMilliseconds(100);
        using var watchdog = new Watchdog(
            [new WorkerGroup([worker])], Options.Create(new HealthOptions { LiveTimeout = brief, ExitTimeout = brief * 2 }),
            Options.Create(new EndpointOptions()), _lifetime, TimeProvider.System, NullLogger<Watchdog>.Instance,
            code => exited.TrySetResult(code));
        await watchdog.StartAsync(CancellationToken.None);
        worker.Begin();
        Assert.Equal(Watchdog.ExitCode, await exited.Task.WaitAsync(TestContext.Current.CancellationToken));
        Assert.Contains("a worker", watchdog.Stuck, StringComparison.Ordinal);
        worker.End();
        while (watchdog.Stuck is not null) await Task.Delay(1, TestContext.Current.CancellationToken);
        await watchdog.StopAsync(CancellationToken.None);
    }

    private void Observe(int seconds)
    {
        for (var second = 0; second < seconds; second++) _watchdog.Observe(Second);
    }

    private sealed class Lifetime : IHostApplicationLifetime
    {
        public CancellationTokenSource Stopping { get; } = new();

        public TaskCompletionSource Stopped { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public CancellationToken ApplicationStarted => CancellationToken.None;

        public CancellationToken ApplicationStopping => Stopping.Token;

        public CancellationToken ApplicationStopped => CancellationToken.None;

        public void StopApplication()
        {
            Stopping.Cancel();
            Stopped.TrySetResult();
        }
    }
}
