using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>
/// Who runs next: one request at a time, first come first served, a bounded number waiting. Over the bound the answer
/// is Overloaded with the time after which a place should be free, from what recent requests took.
/// </summary>
public sealed class AdmissionQueue(int mostWaiting, TimeProvider time)
{
    private static readonly TimeSpan FirstGuess = TimeSpan.FromSeconds(1);
    private readonly Lock _lock = new();
    private readonly LinkedList<TaskCompletionSource> _waiting = new();
    private bool _running;
    private double _recentSeconds = FirstGuess.TotalSeconds;

    /// <summary>Requests that wait or run.</summary>
    public int Count
    {
        get
        {
            lock (_lock) return _waiting.Count + (_running ? 1 : 0);
        }
    }

    /// <summary>Waits for the turn; disposing the lease ends it. A caller that cancels leaves the queue at once.</summary>
    /// <exception cref="StageException">Overloaded, with RetryAfter.</exception>
    public async Task<IDisposable> EnterAsync(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        LinkedListNode<TaskCompletionSource> place;
        lock (_lock)
        {
            if (!_running)
            {
                _running = true;
                return new Lease(this, time.GetTimestamp());
            }

            if (_waiting.Count >= mostWaiting)
            {
                var wait = TimeSpan.FromSeconds(Math.Clamp(_recentSeconds * (_waiting.Count + 1), 0.1, 60));
                throw new StageException(StageErrorKind.Overloaded, $"{_waiting.Count} requests wait already. Try again in {wait.TotalSeconds:0.0} s, or raise LanguageModel:MaxQueued.") { RetryAfter = wait };
            }

            place = _waiting.AddLast(new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        await using var registration = cancellation.Register(() =>
        {
            lock (_lock)
                if (place.List is not null) _waiting.Remove(place);
            place.Value.TrySetCanceled(cancellation);
        });
        await place.Value.Task;
        return new Lease(this, time.GetTimestamp());
    }

    private void Leave(long started)
    {
        lock (_lock)
        {
            _recentSeconds = (0.8 * _recentSeconds) + (0.2 * time.GetElapsedTime(started).TotalSeconds);
            while (_waiting.First is { } next)
            {
                _waiting.RemoveFirst();
                if (next.Value.TrySetResult()) return; // the place stays taken: it passes to the next
            }

            _running = false;
        }
    }

    private sealed class Lease(AdmissionQueue queue, long started) : IDisposable
    {
        private int _disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0) queue.Leave(started);
        }
    }
}
