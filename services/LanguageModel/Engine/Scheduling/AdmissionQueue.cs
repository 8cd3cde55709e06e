using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>
/// The order of admission: tenants take turns, and the requests of one tenant are served in the order of arrival. The number of waiting
/// requests is bounded. A turn does not pass to the next tenant before its first request fits, so that short requests cannot keep a long
/// one waiting for ever.
/// </summary>
public sealed class AdmissionQueue<T>(int mostWaiting)
    where T : class
{
    private readonly Lock _lock = new();
    private readonly LinkedList<(string Tenant, LinkedList<T> Waiting)> _turns = new(); // the first tenant is the next to be served
    private Func<Exception>? _closed;

    /// <summary>Requests that wait.</summary>
    public int Count { get; private set; }

    /// <param name="retryAfter">Asked only if the request is refused: when a place should be free.</param>
    /// <exception cref="FlamingoException">Overloaded, with RetryAfter; once closed, what it was closed with.</exception>
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
                    $"{Count} requests wait already. Try again in {wait.TotalSeconds:0.0} s, or raise "
                    + $"LanguageModel:MaxQueued.") { RetryAfter = wait };
            }

            var turn = _turns.FirstOrDefault(turn => turn.Tenant == tenant).Waiting;
            if (turn is null) _turns.AddLast((tenant, turn = new LinkedList<T>()));
            turn.AddLast(request);
            Count++;
        }
    }

    /// <summary>The request whose turn it is, still waiting; null if none waits.</summary>
    public T? Peek()
    {
        lock (_lock) return _turns.First?.Value.Waiting.First!.Value;
    }

    /// <summary>Takes the request whose turn it was; the turn passes to the next tenant.</summary>
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

    /// <summary>Takes out everything. Later requests are refused.</summary>
    public IReadOnlyList<T> Close(Func<Exception> refusal)
    {
        lock (_lock)
        {
            _closed = refusal;
            return RemoveAll(_ => true);
        }
    }

    /// <summary>Takes out everything that the predicate names, in any place.</summary>
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
