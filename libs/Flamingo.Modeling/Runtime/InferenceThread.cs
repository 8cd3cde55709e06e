using System.Collections.Concurrent;
using Flamingo.Abstractions;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Kernels;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using TorchSharp;

namespace Flamingo.Modeling.Runtime;

/// <summary>
/// The only thread of a process that creates and frees tensors, because TorchSharp's dispose scopes are thread-static. Stages that share a
/// process share this thread and compute one after the other. Work runs in the order in which it was posted.
/// </summary>
public sealed class InferenceThread : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;

    private readonly Action? _deviceLost;
    private readonly ILogger _log;
    private Exception? _lost;

    /// <param name="computeThreads">Number of threads that one computation may use.</param>
    /// <param name="deviceLost">Called once, on this thread, when the device has failed permanently. The process should then end.</param>
    public InferenceThread(int computeThreads, Action? deviceLost = null, ILogger<InferenceThread>? log = null)
    {
        (_deviceLost, _log) = (deviceLost, log ?? NullLogger<InferenceThread>.Instance);
        Team = new ComputeTeam(computeThreads - 1);
        _thread = new Thread(() =>
        {
            torch.set_num_threads(computeThreads);
            foreach (var action in _work.GetConsumingEnumerable())
            {
                Worker.Begin();
                action();
                Worker.End();
            }

            Team.Dispose();
        })
        { IsBackground = true, Name = "inference" };
        _thread.Start();
    }

    /// <summary>
    /// Threads for the products and the attention that torch does not compute: this thread and the other compute threads.
    /// </summary>
    public ComputeTeam Team { get; }

    /// <summary>This thread, as seen by those who watch the process.</summary>
    public Worker Worker { get; } = new("the inference thread");

    /// <summary>
    /// Runs <paramref name="compute"/> in inference mode inside a dispose scope: every tensor that it creates is freed when it
    /// returns, except those that it moves out of the scope. A call that is cancelled while it waits is never started.
    /// </summary>
    /// <exception cref="FlamingoException">
    /// Overloaded if the device had no memory for this work; other work is not affected. Unavailable if the device failed; all
    /// later work is refused in the same way.
    /// </exception>
    public Task<T> RunAsync<T>(Func<T> compute, CancellationToken cancellation)
    {
        var completion = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _work.Add(() =>
        {
            if (cancellation.IsCancellationRequested)
            {
                completion.TrySetCanceled(cancellation);
                return;
            }

            if (_lost is not null)
            {
                completion.TrySetException(_lost);
                return;
            }

            try
            {
                using var inference = torch.inference_mode();
                using var scope = torch.NewDisposeScope();
                completion.TrySetResult(Guarded(compute));
            }
            catch (OperationCanceledException exception)
            {
                completion.TrySetCanceled(exception.CancellationToken);
            }
            catch (Exception exception)
            {
                completion.TrySetException(exception);
            }
        }, CancellationToken.None);
        return completion.Task;
    }

    /// <summary>
    /// Runs <paramref name="compute"/> on the calling thread, and converts errors of the device into the exceptions that callers
    /// get. It is meant for work whose exceptions are caught before <see cref="RunAsync{T}"/> sees them, such as a batch.
    /// </summary>
    /// <exception cref="FlamingoException">In the same cases as from <see cref="RunAsync{T}"/>.</exception>
    public T Guarded<T>(Func<T> compute)
    {
        try
        {
            return compute();
        }
        catch (Exception exception) when (DeviceFault.Of(exception) is var fault && fault != exception)
        {
            if (!DeviceFault.IsLost(fault))
            {
                _log.DeviceMemoryShort(exception.Message);
            }
            else if (_lost is null)
            {
                _lost = fault;
                Worker.Fail(fault);
                _log.DeviceLost(exception.Message);
                _deviceLost?.Invoke();
            }

            throw fault;
        }
    }

    /// <summary>Runs work that has no result and cannot be cancelled.</summary>
    public Task RunAsync(Action compute) => RunAsync(() => { compute(); return true; }, CancellationToken.None);

    public void Dispose()
    {
        _work.CompleteAdding();
        if (Thread.CurrentThread != _thread) _thread.Join();
        _work.Dispose();
    }
}
