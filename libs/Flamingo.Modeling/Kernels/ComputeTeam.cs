using System.Runtime.ExceptionServices;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// Helper threads for work of some hundred microseconds. Items are handed out one by one, and the caller never waits for a helper
/// that has not begun: a helper that wakes late, because torch's own workers still spin on its core, finds nothing left.
/// Helpers sleep between jobs; spinning, they would take that core from torch. One thread at a time may call.
/// </summary>
public sealed class ComputeTeam : IDisposable
{
    private readonly Thread[] _helpers;
    private readonly SemaphoreSlim _wake = new(0);
    private volatile Job? _job;
    private volatile bool _disposed;

    /// <summary>The calling thread by itself; any number of callers may share it.</summary>
    public static ComputeTeam Alone { get; } = new(helpers: 0);

    public ComputeTeam(int helpers)
    {
        _helpers = [
            .. Enumerable.Range(1, helpers)
                .Select(worker => new Thread(() => Help(worker)) { IsBackground = true, Name = $"compute {worker}" })
        ];
        foreach (var helper in _helpers) helper.Start();
    }

    /// <summary>The calling thread and its helpers.</summary>
    public int Threads => _helpers.Length + 1;

    /// <summary>
    /// Computes every item once, on the calling thread and up to <paramref name="threads"/> − 1 helpers, and returns when all are done.
    /// </summary>
    /// <param name="compute">Takes the item and the worker, 0 for the caller.</param>
    /// <exception cref="Exception">What the first failing item threw, once all are done.</exception>
    public void Run(int items, int threads, Action<int, int> compute)
    {
        var job = new Job(items, compute);
        ObjectDisposedException.ThrowIf(_disposed, this);
        var woken = Math.Min(threads - 1, Math.Min(items - 1, _helpers.Length));
        if (woken > 0)
        {
            _job = job;
            _wake.Release(woken);
        }

        job.Work(worker: 0);
        var spin = new SpinWait();
        while (!job.Done) spin.SpinOnce(sleep1Threshold: -1);
        if (woken > 0) _job = null;
        job.ThrowFirst();
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        if (_helpers.Length > 0) _wake.Release(_helpers.Length);
        foreach (var helper in _helpers) helper.Join();
        _wake.Dispose();
    }

    private void Help(int worker)
    {
        while (true)
        {
            _wake.Wait();
            if (_disposed) return;
            _job?.Work(worker);
        }
    }

    private sealed class Job(int items, Action<int, int> compute)
    {
        private int _next = -1, _done;
        private Exception? _failure;

        public bool Done => Volatile.Read(ref _done) == items;

        public void Work(int worker)
        {
            for (int item; (item = Interlocked.Increment(ref _next)) < items;)
            {
                try
                {
                    compute(item, worker);
                }
                catch (Exception exception)
                {
                    Interlocked.CompareExchange(ref _failure, exception, null);
                }

                Interlocked.Increment(ref _done);
            }
        }

        public void ThrowFirst()
        {
            if (_failure is { } failure) ExceptionDispatchInfo.Throw(failure);
        }
    }
}
