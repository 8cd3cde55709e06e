using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>
/// The order of admission: tenants take turns, and the requests of one tenant are served in the order of arrival. The number of waiting
/// requests is bounded; where the queue is full, a tenant with fewer waiting requests displaces a request of the tenant with the most.
/// Nothing is kept of a tenant without waiting requests. Any thread may enqueue; only the engine's loop takes requests out.
/// </summary>
public sealed class AdmissionQueue<T>(int mostWaiting)
    where T : class
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Turn> _turns = new(); // the first tenant is served next
    private readonly Dictionary<string, LinkedListNode<Turn>> _tenants = new(StringComparer.Ordinal);
    private Func<Exception>? _closed;

    /// <summary>Number of waiting requests.</summary>
    public int Count { get; private set; }

    /// <param name="retryAfter">Returns the expected time until the queue has room. It is called only if a request is refused.</param>
    /// <returns>
    /// The request that was displaced and what its caller is told; null if the queue had room. It is the newest request of the tenant
    /// that has the most, and never a request that is next in its tenant's order.
    /// </returns>
    /// <exception cref="FlamingoException">Overloaded, with RetryAfter; after <see cref="Close"/>, the exception that was given
    /// there.</exception>
    public (T Request, Exception Refusal)? Enqueue(string tenant, T request, Func<TimeSpan> retryAfter)
    {
        lock (_lock)
        {
            if (_closed is not null) throw _closed();
            (T, Exception)? displaced = null;
            if (Count >= mostWaiting)
            {
                var refusal = Refusal(retryAfter());
                var own = _tenants.TryGetValue(tenant, out var known) ? known.Value.Waiting.Count : 0;
                var longest = _turns.MaxBy(turn => turn.Waiting.Count)!;
                // Both then have their turns nearer to each other; otherwise the two would displace each other for ever.
                if (own + 1 >= longest.Waiting.Count) throw refusal;
                displaced = (longest.Waiting.Last!.Value, refusal);
                longest.Waiting.RemoveLast();
                Count--;
            }

            if (!_tenants.TryGetValue(tenant, out var node))
                _tenants[tenant] = node = _turns.AddLast(new Turn(tenant, new LinkedList<T>()));
            node.Value.Waiting.AddLast(request);
            Count++;
            return displaced;
        }
    }

    /// <summary>
    /// The next request of each tenant, in the order of the turns; at most <paramref name="most"/>. All stay in the queue.
    /// </summary>
    public IReadOnlyList<(string Tenant, T Request)> Next(int most)
    {
        lock (_lock) return [.. _turns.Take(most).Select(turn => (turn.Tenant, turn.Waiting.First!.Value))];
    }

    /// <summary>Removes the next request of a tenant. The tenant's other requests wait for its next turn.</summary>
    public void Dequeue(string tenant)
    {
        lock (_lock)
        {
            var node = _tenants[tenant];
            node.Value.Waiting.RemoveFirst();
            Count--;
            _turns.Remove(node);
            if (node.Value.Waiting.Count > 0) _turns.AddLast(node);
            else _tenants.Remove(tenant);
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

                if (turn.Value.Waiting.Count == 0)
                {
                    _turns.Remove(turn);
                    _tenants.Remove(turn.Value.Tenant);
                }

                turn = next;
            }

            Count -= removed.Count;
            return removed;
        }
    }

    private FlamingoException Refusal(TimeSpan wait) => new(
        FlamingoErrorKind.Overloaded,
        $"{Count} requests are waiting already. Try again in {wait.TotalSeconds:0.0} s, or raise LanguageModel:MaxQueued.")
    {
        RetryAfter = wait,
    };

    private sealed record Turn(string Tenant, LinkedList<T> Waiting);
}
