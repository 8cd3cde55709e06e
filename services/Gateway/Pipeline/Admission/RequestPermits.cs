using Flamingo.Abstractions;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Admission;

/// <summary>
/// Bounds the number of requests that run at once and the number of requests that wait, and is fair between tenants:
/// <list type="bullet">
/// <item>Tenants take turns. The requests of one tenant are admitted in the order of arrival.</item>
/// <item>A tenant has a turn of its own after its first request was admitted. All other tenants, the newcomers, share one turn,
/// in which they take turns too. Callers can invent any number of names, but invented names delay a known tenant by one request
/// only.</item>
/// <item>Any tenant may use all permits while no other tenant waits. A reserve of a quarter more permits, at least two, admits a
/// tenant of which no request runs, so that it need not wait until another tenant's long answer ends. Newcomers use at most half of
/// the reserve.</item>
/// <item>If the queue is full, a new request displaces the newest waiting request of the turn with the most waiting requests,
/// unless its own turn would then have as many.</item>
/// </list>
/// The state is bounded by the numbers of running and waiting requests and by <see cref="MostIdleTenants"/>.
/// </summary>
public sealed class RequestPermits(GatewayOptions options, TimeProvider time, ILogger<RequestPermits> logger)
{
    /// <summary>
    /// Most known tenants without a request. Of more, the one that was served least often, and then longest ago, is forgotten.
    /// </summary>
    public const int MostIdleTenants = 1024;

    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    /// <summary>Period after which all counts of served requests are halved, so that a tenant does not stay known for ever.</summary>
    private static readonly TimeSpan HalfLife = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Turn> _known = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Turn> _newcomers = new(StringComparer.Ordinal); // only names with waiting requests
    private readonly LinkedList<Turn> _turns = []; // turns with waiting requests; the first is served next
    private readonly LinkedList<Turn> _turnsOfNewcomers = []; // the same within the newcomers' turn
    private readonly Turn _newcomersTurn = new("");
    private readonly int _reserve = Math.Max(2, options.MaxConcurrentRequests / 4);
    private int _running, _waiting, _reentering, _idle;
    private long _served, _refused, _halved = time.GetTimestamp();

    /// <summary>Numbers of running requests, waiting requests and known tenants.</summary>
    public (int Running, int Waiting, int Tenants) State
    {
        get
        {
            lock (_lock) return (_running, _waiting + _reentering, _known.Count);
        }
    }

    /// <summary>Number of requests that were refused since the start.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>Waits for a permit. Disposing the permit admits the next request.</summary>
    /// <param name="tenant">Name of the tenant.</param>
    /// <exception cref="FlamingoException">Overloaded, with RetryAfter: too many requests are waiting.</exception>
    public async ValueTask<RequestPermit> EnterAsync(string tenant, CancellationToken cancellation)
    {
        var permit = new RequestPermit(this, tenant);
        await EnterAsync(permit, reenters: false, cancellation);
        permit.Run();
        return permit;
    }

    /// <summary>Waits until the permit may run.</summary>
    /// <param name="reenters">
    /// Whether the request was admitted before. Then it is the next of its tenant, and the bound of waiting requests does not apply.
    /// </param>
    internal async ValueTask EnterAsync(RequestPermit permit, bool reenters, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var waiter = new Waiter(permit, reenters);
        lock (_lock)
        {
            Halve();
            Enqueue(waiter);
            Admit();
            if (_waiting > options.MaxQueuedRequests) Displace(waiter);
        }

        if (waiter.Admitted.Task.IsCompletedSuccessfully) return;
        await using var leaving = cancellation.UnsafeRegister((_, token) =>
        {
            lock (_lock)
                if (Dequeue(waiter)) waiter.Admitted.TrySetCanceled(token);
        }, null);
        await waiter.Admitted.Task;
    }

    /// <summary>Returns a permit and admits the next request.</summary>
    internal void Leave(RequestPermit permit)
    {
        lock (_lock)
        {
            _running--;
            if (permit.UsesNewcomersReserve) _newcomersTurn.Running--;
            var turn = _known[permit.Tenant];
            turn.Running--;
            Retire(turn);
            Admit();
        }
    }

    // A tenant with a request among the newcomers stays there until it has none, so that its requests keep their order.
    private void Enqueue(Waiter waiter)
    {
        var name = waiter.Permit.Tenant;
        if (_newcomers.ContainsKey(name) || !_known.TryGetValue(name, out var turn))
        {
            if (!_newcomers.TryGetValue(name, out turn)) _turnsOfNewcomers.AddLast(_newcomers[name] = turn = new Turn(name));
            if (_newcomersTurn.Size++ == 0) _turns.AddLast(_newcomersTurn);
        }
        else if (turn.Size == 0)
        {
            if (turn.Running == 0) _idle--;
            _turns.AddLast(turn);
        }

        waiter.Turn = turn;
        turn.Size++;
        waiter.Node = waiter.Reenters ? turn.Waiters.AddFirst(waiter) : turn.Waiters.AddLast(waiter);
        Count(waiter, 1);
    }

    /// <returns>False if the request does not wait any more.</returns>
    private bool Dequeue(Waiter waiter)
    {
        if (waiter.Node is null) return false;
        var (turn, name) = (waiter.Turn!, waiter.Permit.Tenant);
        turn.Waiters.Remove(waiter.Node);
        waiter.Node = null;
        Count(waiter, -1);
        if (OuterTurn(waiter) == _newcomersTurn)
        {
            if (--_newcomersTurn.Size == 0) _turns.Remove(_newcomersTurn);
            if (--turn.Size > 0) return true;
            _newcomers.Remove(name);
            _turnsOfNewcomers.Remove(turn);
        }
        else if (--turn.Size == 0)
        {
            _turns.Remove(turn);
            Retire(turn);
        }

        return true;
    }

    private void Count(Waiter waiter, int change)
    {
        if (waiter.Reenters)
        {
            _reentering += change;
            return;
        }

        _waiting += change;
        waiter.Turn!.Displaceable += change;
        if (OuterTurn(waiter) == _newcomersTurn) _newcomersTurn.Displaceable += change;
    }

    private Turn OuterTurn(Waiter waiter) =>
        _newcomers.GetValueOrDefault(waiter.Permit.Tenant) == waiter.Turn ? _newcomersTurn : waiter.Turn!;

    private void Admit()
    {
        while (Next() is { } turn)
        {
            // The turn goes to the end, and within the newcomers' turn the name as well.
            _turns.Remove(turn);
            _turns.AddLast(turn);
            var isNewcomer = turn == _newcomersTurn;
            if (isNewcomer)
            {
                turn = _turnsOfNewcomers.First!.Value;
                _turnsOfNewcomers.Remove(turn);
                _turnsOfNewcomers.AddLast(turn);
            }

            var waiter = turn.Waiters.First!.Value;
            if (!_known.TryGetValue(waiter.Permit.Tenant, out var known))
            {
                _known[waiter.Permit.Tenant] = known = new Turn(waiter.Permit.Tenant);
                _idle++;
            }

            if (known.Running++ == 0 && known.Size == 0) _idle--;
            (known.Served, known.LastServed) = (known.Served + 1, ++_served);
            var usesNewcomersReserve = isNewcomer && _running >= options.MaxConcurrentRequests;
            if (usesNewcomersReserve) _newcomersTurn.Running++;
            waiter.Permit.UsesNewcomersReserve = usesNewcomersReserve;
            _running++;
            Dequeue(waiter);
            waiter.Admitted.TrySetResult();
        }
    }

    /// <returns>The turn whose first request may run now; null if there is none.</returns>
    private Turn? Next()
    {
        if (_running < options.MaxConcurrentRequests) return _turns.First?.Value;
        if (_running >= options.MaxConcurrentRequests + _reserve) return null;
        return _turns.FirstOrDefault(turn => turn.Running < (turn == _newcomersTurn ? _reserve / 2 : 1));
    }

    // The queue holds one request too many. The newest request of the largest turn leaves it; if several are the largest, the new one.
    private void Displace(Waiter waiter)
    {
        var own = OuterTurn(waiter);
        var largest = Largest(_turns, own);
        if (largest == _newcomersTurn)
            largest = own == _newcomersTurn ? Largest(_turnsOfNewcomers, waiter.Turn!)
                : _turnsOfNewcomers.Reverse().MaxBy(turn => turn.Displaceable)!; // of equal ones the last, which is the newest
        var displaced = largest == waiter.Turn ? waiter : largest.Waiters.Last(other => !other.Reenters);
        Dequeue(displaced);
        Interlocked.Increment(ref _refused);
        GatewayLog.Overloaded(logger, options.MaxConcurrentRequests, options.MaxQueuedRequests);
        displaced.Admitted.TrySetException(new FlamingoException(
            FlamingoErrorKind.Overloaded,
            "The gateway has too many waiting requests. Retry in 1 s, or raise Gateway:MaxQueuedRequests.")
        {
            RetryAfter = RetryAfter,
        });
    }

    private static Turn Largest(IEnumerable<Turn> turns, Turn own)
    {
        foreach (var turn in turns)
            if (turn.Displaceable > own.Displaceable) own = turn;
        return own;
    }

    // Counts a tenant that has no request any more, and forgets one beyond the bound.
    private void Retire(Turn turn)
    {
        if (turn.Running > 0 || turn.Size > 0) return;
        if (++_idle <= MostIdleTenants) return;
        var least = _known.Values.Where(known => known.Running == 0 && known.Size == 0)
            .MinBy(known => (known.Served, known.LastServed))!;
        _known.Remove(least.Tenant);
        _idle--;
    }

    private void Halve()
    {
        if (time.GetElapsedTime(_halved) < HalfLife) return;
        _halved = time.GetTimestamp();
        foreach (var turn in _known.Values) turn.Served /= 2;
    }

    private sealed class Turn(string tenant)
    {
        public string Tenant { get; } = tenant;

        public LinkedList<Waiter> Waiters { get; } = [];

        /// <summary>Number of waiting requests; for the newcomers' turn, of all newcomers.</summary>
        public int Size { get; set; }

        /// <summary>Number of those waiting requests that have not been admitted before.</summary>
        public int Displaceable { get; set; }

        /// <summary>Number of running requests; for the newcomers' turn, of those in the reserve.</summary>
        public int Running { get; set; }

        public long Served { get; set; }

        public long LastServed { get; set; }
    }

    private sealed class Waiter(RequestPermit permit, bool reenters)
    {
        public RequestPermit Permit { get; } = permit;

        public bool Reenters { get; } = reenters;

        public Turn? Turn { get; set; }

        /// <summary>Place in the turn; null if the request does not wait.</summary>
        public LinkedListNode<Waiter>? Node { get; set; }

        public TaskCompletionSource Admitted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>The permission of one request to run. One caller uses it at a time.</summary>
public sealed class RequestPermit : IDisposable
{
    private readonly RequestPermits _permits;
    private bool _runs;

    internal RequestPermit(RequestPermits permits, string tenant) => (_permits, Tenant) = (permits, tenant);

    internal string Tenant { get; }

    /// <summary>Whether the request was admitted to the newcomers' half of the reserve.</summary>
    internal bool UsesNewcomersReserve { get; set; }

    /// <summary>
    /// Returns the permit while the request pauses, for example because its caller does not read. <see cref="ReenterAsync"/> takes it
    /// again. It does nothing if the permit was returned already.
    /// </summary>
    public void Leave()
    {
        if (!_runs) return;
        _runs = false;
        _permits.Leave(this);
    }

    /// <summary>
    /// Waits for the permit again after <see cref="Leave"/>. The request is the next of its tenant, and it is never refused.
    /// </summary>
    public async ValueTask ReenterAsync(CancellationToken cancellation)
    {
        if (_runs) return;
        await _permits.EnterAsync(this, reenters: true, cancellation);
        _runs = true;
    }

    /// <summary>Returns the permit, if it was not returned.</summary>
    public void Dispose() => Leave();

    internal void Run() => _runs = true;
}
