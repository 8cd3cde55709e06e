using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// The background task that runs the engine's steps while there is work, and waits while there is none. Other threads reach the
/// engine only through its queue and through the cancellation flag of a request.
/// </summary>
internal sealed class EngineLoop : IAsyncDisposable
{
    private readonly StepEngine _engine;
    private readonly ILogger _log;
    private readonly SemaphoreSlim _signal = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly EngineMetrics _metrics;
    private readonly Task _loop;

    public EngineLoop(IModelRunner runner, EngineLimits limits, TimeProvider time, ILogger log, string model)
    {
        _engine = null!; // the metrics read it when they are collected, which may be before the next lines have run
        _metrics = new EngineMetrics(() => _engine?.Statistics ?? EngineStatistics.None, model, runner.Memory, time);
        (_engine, _log) = (new StepEngine(runner, limits, time, log, _metrics), log);
        _loop = Task.Run(RunAsync);
    }

    public EngineStatistics Statistics => _engine.Statistics;

    /// <summary>The loop. A unit of work is one step.</summary>
    public Worker Worker { get; } = new("the engine");

    /// <inheritdoc cref="StepEngine.Submit"/>
    public void Submit(EngineRequest request)
    {
        _engine.Submit(request);
        Wake();
    }

    public void Cancel(EngineRequest request)
    {
        if (request.IsCancelled) return;
        request.Cancel();
        Wake();
    }

    /// <summary>Makes the loop look at its requests again, for example because a paused request may go on.</summary>
    public void Wake() => _signal.Release();

    /// <summary>Ends all requests with Unavailable.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        _metrics.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                Worker.Begin();
                var computed = await _engine.StepAsync(_stop.Token);
                Worker.End();
                if (!computed) await WaitAsync();
            }
        }
        catch (Exception exception)
        {
            // The engine's state may be wrong, so no later step is tried. The process ends, and its supervisor starts another.
            _log.LoopFailed(exception);
            Worker.Fail(exception);
        }
        finally
        {
            _engine.Stop(); // no caller may wait for an answer after the loop has ended
        }
    }

    // No request waits while none runs, because pins yield and everything else is leased by running requests. So only a signal brings work.
    private async Task WaitAsync()
    {
        try
        {
            await _signal.WaitAsync(_stop.Token);
            while (_signal.Wait(0, CancellationToken.None)) { } // one step serves all signals
        }
        catch (OperationCanceledException)
        {
            // the engine is being stopped
        }
    }
}
