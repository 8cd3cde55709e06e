using System.Runtime.ExceptionServices;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// Helper threads for jobs of some hundred microseconds. Threads take one item at a time, and the caller never waits for a helper
/// that has not started: a helper that wakes late, because torch's own workers still spin on its core, finds no items left.
/// Helpers sleep between jobs, because spinning would take that core from torch. Only one thread at a time may call
/// <see cref="Run"/>.
/// </summary>
public sealed class ComputeTeam : IDisposable
{
    private readonly Thread[] _helpers;
    private readonly SemaphoreSlim _wake = new(0);
    private volatile Job? _job;
    private volatile bool _disposed;

    /// <summary>A team without helpers, which computes on the calling thread. Any number of threads may use it at the same time.</summary>
    public static ComputeTeam Alone { get; } = new(helpers: 0);

    public ComputeTeam(int helpers)
    {
        _helpers = [
            .. Enumerable.Range(1, helpers)
                .Select(worker => new Thread(() => Help(worker)) { IsBackground = true, Name = $"compute {worker}" })
        ];
        foreach (var helper in _helpers) helper.Start();
    }

    /// <summary>Number of threads: the calling thread and its helpers.</summary>
    public int Threads => _helpers.Length + 1;

    /// <summary>
    /// Computes every item once, on the calling thread and up to <paramref name="threads"/> − 1 helpers, and returns when all are done.
    /// </summary>
    /// <param name="compute">Computes one item. Its arguments are the index of the item and that of the worker, which is 0 for
    /// the calling thread.</param>
    /// <exception cref="Exception">The first exception that an item threw, after all items are done.</exception>
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
