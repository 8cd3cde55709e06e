using System.Globalization;
using Grpc.Core;

namespace Flamingo.Transport.Remote.Replicas;

/// <summary>
/// Which replica takes a call, by the calls in flight at each and by those that have just failed there. A call with a key
/// goes by rendezvous hash, one without to the least loaded. The balancer's own tracker ends a call with its response
/// headers, before most of an answer is here: so the caller begins, fails and ends calls, and the balancer places them by a header.
/// </summary>
/// <param name="spill">For calls with a key: see <see cref="Rendezvous.Choose"/>.</param>
/// <param name="rest">
/// How long a replica at which a call failed is left out while there is another. The transport calls a dead replica ready
/// until it has noticed, and a connection that it tried in vain under a call it does not notice at all.
/// </param>
public sealed class ReplicaChoice(int spill, TimeSpan rest, TimeProvider time)
{
    public const string CallHeader = "flamingo-call";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, BegunCall> _begun = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _calls = new(StringComparer.Ordinal);   // replica → calls in flight
    private readonly Dictionary<string, long> _failed = new(StringComparer.Ordinal); // replica → when a call last failed there
    private long _last;

    /// <summary>Calls at a replica.</summary>
    public int At(string replica)
    {
        lock (_lock) return _calls.GetValueOrDefault(replica);
    }

    /// <summary>A call that is about to be made; disposing it ends it.</summary>
    /// <param name="key">Calls with one key go to one replica while it is not busy; null: anywhere.</param>
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
    /// Chooses a replica and counts the call there; one that is placed again leaves where it was. Unknown calls are placed and not
    /// counted.
    /// </summary>
    /// <param name="replicas">Those that are connected: names, at least one, each once.</param>
    /// <returns>Index of the chosen.</returns>
    public int Place(string? name, IReadOnlyList<string> replicas)
    {
        lock (_lock)
        {
            var call = name is null ? null : _begun.GetValueOrDefault(name);
            if (call is not null) Leave(call);
            var sound = Sound(call, replicas);
            // without a key, the call's own name breaks ties among the least loaded
            IReadOnlyList<int> calls = [.. sound.Select(replica => _calls.GetValueOrDefault(replica))];
            var chosen = sound[Rendezvous.Choose(call?.Key ?? name ?? "", sound, calls, call?.Key is null ? 1 : spill)];
            if (call is not null)
            {
                call.Replica = chosen;
                _calls[chosen] = _calls.GetValueOrDefault(chosen) + 1;
            }

            return replicas.Index().First(replica => replica.Item == chosen).Index;
        }
    }

    /// <summary>A call is on its way to where it was placed.</summary>
    public void Sent(string name)
    {
        lock (_lock) _begun.GetValueOrDefault(name)?.Sent?.Invoke();
    }

    // Replicas where this very call has not failed and no other one just has; if none is left, all are tried anew.
    private IReadOnlyList<string> Sound(BegunCall? call, IReadOnlyList<string> replicas)
    {
        var untried = replicas.Where(replica => call?.FailedAt.Contains(replica) != true).ToList();
        if (untried.Count == 0)
        {
            call!.FailedAt.Clear();
            return replicas;
        }

        var sound = untried.Where(replica => !_failed.TryGetValue(replica, out var when) || time.GetElapsedTime(when) >= rest).ToList();
        return sound.Count == 0 ? untried : sound;
    }

    private void Fail(BegunCall call)
    {
        lock (_lock)
        {
            if (call.Replica is not { } replica) return; // nobody had been there
            Leave(call);
            call.FailedAt.Add(replica);
            // addresses come and go
            foreach (var (old, _) in _failed.Where(entry => time.GetElapsedTime(entry.Value) >= rest).ToList()) _failed.Remove(old);
            _failed[replica] = time.GetTimestamp();
        }
    }

    private void OnSent(BegunCall call, Action? sent)
    {
        lock (_lock) call.Sent = sent; // under the lock, so that a listener that was replaced is not called any more
    }

    private void End(BegunCall call)
    {
        lock (_lock)
        {
            Leave(call);
            _begun.Remove(call.Name);
        }
    }

    private void Leave(BegunCall call)
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

        /// <summary>What the call must carry.</summary>
        public Metadata Headers { get; }

        internal string? Key { get; }

        /// <summary>Where it is; null before it is placed and after it failed.</summary>
        internal string? Replica { get; set; }

        internal HashSet<string> FailedAt { get; } = new(StringComparer.Ordinal);

        internal Action? Sent { get; set; }

        /// <summary>Sets what runs, quickly, when the call is on its way; null is nothing any more.</summary>
        public void OnSent(Action? sent) => _choice.OnSent(this, sent);

        /// <summary>The replica where it was did not answer, or not to the end.</summary>
        public void Fail() => _choice.Fail(this);

        public void Dispose() => _choice.End(this);
    }
}
