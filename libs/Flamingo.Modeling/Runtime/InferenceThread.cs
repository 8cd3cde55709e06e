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
/// The one thread of a process that makes and frees tensors, because TorchSharp's dispose scopes are thread-static. Stages that share a
/// process share this thread and compute one after the other. Work runs in the order in which it was posted.
/// </summary>
public sealed class InferenceThread : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;

    private readonly Action? _deviceLost;
    private readonly ILogger _log;
    private Exception? _lost;

    /// <param name="computeThreads">Threads that one computation may use.</param>
    /// <param name="deviceLost">Called once, on this thread, when the device has failed for good; the process should end.</param>
    public InferenceThread(int computeThreads, Action? deviceLost = null, ILogger<InferenceThread>? log = null)
    {
        (_deviceLost, _log) = (deviceLost, log ?? NullLogger<InferenceThread>.Instance);
        Team = new ComputeTeam(computeThreads - 1);
        _thread = new Thread(() =>
        {
            torch.set_num_threads(computeThreads);
            foreach (var action in _work.GetConsumingEnumerable()) action();
            Team.Dispose();
        })
        { IsBackground = true, Name = "inference" };
        _thread.Start();
    }

    /// <summary>Threads for products and attention that are not torch's: this one and as many others as one computation may use.</summary>
    public ComputeTeam Team { get; }

    /// <summary>
    /// Runs <paramref name="compute"/> in inference mode inside a dispose scope: every tensor it makes is freed when it
    /// returns, save those it moves out of the scope. A call cancelled while it waits never starts.
    /// </summary>
    /// <exception cref="FlamingoException">
    /// Overloaded: the device had no memory for it; other work goes on. Unavailable: the device failed; all later work is refused so.
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
    /// Runs <paramref name="compute"/> here and now, and turns errors of the device into what callers get. For work whose errors are caught
    /// before <see cref="RunAsync{T}"/> sees them, as those of a batch are.
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
                _log.DeviceLost(exception.Message);
                _deviceLost?.Invoke();
            }

            throw fault;
        }
    }

    /// <summary>Runs work that has no result and is not cancelled while it waits.</summary>
    public Task RunAsync(Action compute) => RunAsync(() => { compute(); return true; }, CancellationToken.None);

    public void Dispose()
    {
        _work.CompleteAdding();
        if (Thread.CurrentThread != _thread) _thread.Join();
        _work.Dispose();
    }
}
