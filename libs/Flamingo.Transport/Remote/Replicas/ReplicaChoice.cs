using System.Globalization;
using Grpc.Core;

namespace Flamingo.Transport.Remote.Replicas;

/// <summary>
/// Chooses the replica of each call from the calls in flight and the recent failures at each replica. A call with a key is placed
/// by rendezvous hashing, a call without a key at the least loaded replica. gRPC's own call tracker considers a call complete at
/// its response headers, before most of a streamed answer has arrived. So the caller reports the begin, failure and end of a call
/// here, and the balancer identifies the call by a header.
/// </summary>
/// <param name="spill">Limit for calls with a key; see <see cref="Rendezvous.Choose"/>.</param>
/// <param name="cooldown">
/// How long a replica at which a call failed is skipped while another replica is available. The transport reports a dead replica
/// as ready until it detects the failure, and it does not record a connection attempt that failed during a call.
/// </param>
public sealed class ReplicaChoice(int spill, TimeSpan cooldown, TimeProvider time)
{
    public const string CallHeader = "flamingo-call";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, BegunCall> _begun = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _calls = new(StringComparer.Ordinal);   // replica → calls in flight
    private readonly Dictionary<string, long> _failed = new(StringComparer.Ordinal); // replica → when a call last failed there
    private long _last;

    /// <summary>Returns the number of calls in flight at a replica.</summary>
    public int At(string replica)
    {
        lock (_lock) return _calls.GetValueOrDefault(replica);
    }

    /// <summary>Registers a call that is about to be made. Disposing the result ends the call.</summary>
    /// <param name="key">Calls with the same key go to the same replica while that replica is not busy; null allows any replica.</param>
    public BegunCall Begin(string? key)
    {
        lock (_lock)
        {
            var call = new BegunCall(this, (++_last).ToString(CultureInfo.InvariantCulture), key);
            _begun.Add(call.Name, call);
            return call;
        }
    }

    /// <summary>
    /// Chooses a replica and counts the call there. A call that is placed again is no longer counted at its earlier replica. A
    /// call that was not registered is placed but not counted.
    /// </summary>
    /// <param name="replicas">Names of the connected replicas; at least one, without duplicates.</param>
    /// <returns>Index of the chosen replica.</returns>
    public int Place(string? name, IReadOnlyList<string> replicas)
    {
        lock (_lock)
        {
            var call = name is null ? null : _begun.GetValueOrDefault(name);
            if (call is not null) RemoveFromReplica(call);
            var available = Available(call, replicas);
            // Without a key, the hash of the call's own name chooses among the least loaded replicas.
            IReadOnlyList<int> calls = [.. available.Select(replica => _calls.GetValueOrDefault(replica))];
            var chosen = available[Rendezvous.Choose(call?.Key ?? name ?? "", available, calls, call?.Key is null ? 1 : spill)];
            if (call is not null)
            {
                call.Replica = chosen;
                _calls[chosen] = _calls.GetValueOrDefault(chosen) + 1;
            }

            return replicas.Index().First(replica => replica.Item == chosen).Index;
        }
    }

    /// <summary>Reports that a call is being sent to its replica.</summary>
    public void Sent(string name)
    {
        lock (_lock) _begun.GetValueOrDefault(name)?.Sent?.Invoke();
    }

    // Returns the replicas where this call has not failed, without those where any call failed recently. If this call has failed
    // at every replica, all replicas are allowed again.
    private IReadOnlyList<string> Available(BegunCall? call, IReadOnlyList<string> replicas)
    {
        var untried = replicas.Where(replica => call?.FailedAt.Contains(replica) != true).ToList();
        if (untried.Count == 0)
        {
            call!.FailedAt.Clear();
            return replicas;
        }

        var available = untried.Where(
            replica => !_failed.TryGetValue(replica, out var when) || time.GetElapsedTime(when) >= cooldown).ToList();
        return available.Count == 0 ? untried : available;
    }

    private void Fail(BegunCall call)
    {
        lock (_lock)
        {
            if (call.Replica is not { } replica) return; // the call was not placed yet
            RemoveFromReplica(call);
            call.FailedAt.Add(replica);
            // Old entries are removed, because the addresses of replicas change over time.
            foreach (var (old, _) in _failed.Where(entry => time.GetElapsedTime(entry.Value) >= cooldown).ToList()) _failed.Remove(old);
            _failed[replica] = time.GetTimestamp();
        }
    }

    private void OnSent(BegunCall call, Action? sent)
    {
        lock (_lock) call.Sent = sent; // under the lock, so that a replaced callback is not called afterwards
    }

    private void End(BegunCall call)
    {
        lock (_lock)
        {
            RemoveFromReplica(call);
            _begun.Remove(call.Name);
        }
    }

    private void RemoveFromReplica(BegunCall call)
    {
        if (call.Replica is not { } replica) return;
        if (--_calls[replica] == 0) _calls.Remove(replica);
        call.Replica = null;
    }

    public sealed class BegunCall : IDisposable
    {
        private readonly ReplicaChoice _choice;

        internal BegunCall(ReplicaChoice choice, string name, string? key)
        {
            _choice = choice;
            (Name, Key) = (name, key);
            Headers = new Metadata { { CallHeader, name } };
        }

        public string Name { get; }

        /// <summary>Headers that the call must send, so that the balancer recognises it.</summary>
        public Metadata Headers { get; }

        internal string? Key { get; }

        /// <summary>The replica where the call is counted; null before it is placed and after it failed.</summary>
        internal string? Replica { get; set; }

        internal HashSet<string> FailedAt { get; } = new(StringComparer.Ordinal);

        internal Action? Sent { get; set; }

        /// <summary>
        /// Sets a callback that runs when the call is being sent; null removes it. The callback runs under a lock and must return
        /// quickly.
        /// </summary>
        public void OnSent(Action? sent) => _choice.OnSent(this, sent);

        /// <summary>Reports that the call's replica did not answer, or did not complete its answer.</summary>
        public void Fail() => _choice.Fail(this);

        public void Dispose() => _choice.End(this);
    }
}
