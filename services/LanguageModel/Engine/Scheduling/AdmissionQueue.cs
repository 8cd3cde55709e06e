using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>
/// The order of admission: tenants take turns, and the requests of one tenant are served in the order of arrival. The number of waiting
/// requests is bounded. The queue does not skip a request that does not fit yet, so that short requests cannot keep a long
/// request waiting for ever.
/// </summary>
public sealed class AdmissionQueue<T>(int mostWaiting)
    where T : class
{
    private readonly Lock _lock = new();
    private readonly LinkedList<(string Tenant, LinkedList<T> Waiting)> _turns = new(); // the first tenant is served next
    private Func<Exception>? _closed;

    /// <summary>Number of waiting requests.</summary>
    public int Count { get; private set; }

    /// <param name="retryAfter">Returns the expected time until the queue has room. It is called only if the request is refused.</param>
    /// <exception cref="FlamingoException">Overloaded, with RetryAfter; after <see cref="Close"/>, the exception that was given
    /// there.</exception>
    public void Enqueue(string tenant, T request, Func<TimeSpan> retryAfter)
    {
        lock (_lock)
        {
            if (_closed is not null) throw _closed();
            if (Count >= mostWaiting)
            {
                var wait = retryAfter();
                throw new FlamingoException(
                    FlamingoErrorKind.Overloaded,
                    $"{Count} requests are waiting already. Try again in {wait.TotalSeconds:0.0} s, or raise "
                    + $"LanguageModel:MaxQueued.") { RetryAfter = wait };
            }

            var turn = _turns.FirstOrDefault(turn => turn.Tenant == tenant).Waiting;
            if (turn is null) _turns.AddLast((tenant, turn = new LinkedList<T>()));
            turn.AddLast(request);
            Count++;
        }
    }

    /// <summary>The request that is next, which stays in the queue; null if none waits.</summary>
    public T? Peek()
    {
        lock (_lock) return _turns.First?.Value.Waiting.First!.Value;
    }

    /// <summary>Removes the request that <see cref="Peek"/> returned. The next tenant is served next.</summary>
    public void Dequeue()
    {
        lock (_lock)
        {
            var turn = _turns.First!;
            turn.Value.Waiting.RemoveFirst();
            Count--;
            _turns.Remove(turn);
            if (turn.Value.Waiting.Count > 0) _turns.AddLast(turn);
        }
    }

    /// <summary>Removes and returns all requests. Later requests are refused.</summary>
    public IReadOnlyList<T> Close(Func<Exception> refusal)
    {
        lock (_lock)
        {
            _closed = refusal;
            return RemoveAll(_ => true);
        }
    }

    /// <summary>Removes and returns all requests that satisfy the predicate, wherever they stand in the queue.</summary>
    public IReadOnlyList<T> RemoveAll(Func<T, bool> predicate)
    {
        lock (_lock)
        {
            var removed = new List<T>();
            for (var turn = _turns.First; turn is not null;)
            {
                var next = turn.Next;
                foreach (var request in turn.Value.Waiting.Where(predicate).ToList())
                {
                    turn.Value.Waiting.Remove(request);
                    removed.Add(request);
                }

                if (turn.Value.Waiting.Count == 0) _turns.Remove(turn);
                turn = next;
            }

            Count -= removed.Count;
            return removed;
        }
    }
}
