using System.Globalization;
using Grpc.Core;

namespace Flamingo.Transport.Remote.Affinity;

/// <summary>
/// Calls in flight at each replica. The balancer's own tracker ends a call with its response headers, which for a stream
/// is its first token: so the caller begins and ends calls here, and the balancer places them by a header.
/// </summary>
public sealed class ReplicaLoad
{
    public const string KeyHeader = "flamingo-affinity";
    public const string CallHeader = "flamingo-call";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, string?> _placed = new(StringComparer.Ordinal); // call → replica, null before it is placed
    private readonly Dictionary<string, int> _calls = new(StringComparer.Ordinal);      // replica → calls
    private long _last;

    /// <summary>Calls at a replica.</summary>
    public int At(string replica)
    {
        lock (_lock) return _calls.GetValueOrDefault(replica);
    }

    /// <summary>A call that is about to be made; disposing it ends it.</summary>
    public BegunCall Begin(string key)
    {
        lock (_lock)
        {
            var call = (++_last).ToString(CultureInfo.InvariantCulture);
            _placed.Add(call, null);
            return new BegunCall(this, call, new Metadata { { KeyHeader, key }, { CallHeader, call } });
        }
    }

    /// <summary>Chooses a replica and counts the call there; one that is tried again leaves where it was. Unknown calls are placed and not counted.</summary>
    public int Place(string? call, string key, IReadOnlyList<string> replicas, int spill)
    {
        lock (_lock)
        {
            var counted = call is not null && _placed.ContainsKey(call);
            if (counted) Leave(call!);
            var chosen = Rendezvous.Choose(key, replicas, [.. replicas.Select(replica => _calls.GetValueOrDefault(replica))], spill);
            if (!counted) return chosen;
            _placed[call!] = replicas[chosen];
            _calls[replicas[chosen]] = _calls.GetValueOrDefault(replicas[chosen]) + 1;
            return chosen;
        }
    }

    private void End(string call)
    {
        lock (_lock)
        {
            if (!_placed.ContainsKey(call)) return;
            Leave(call);
            _placed.Remove(call);
        }
    }

    private void Leave(string call)
    {
        if (_placed[call] is not { } replica) return;
        if (--_calls[replica] == 0) _calls.Remove(replica);
        _placed[call] = null;
    }

    /// <param name="Headers">What the call must carry.</param>
    public sealed record BegunCall(ReplicaLoad Load, string Call, Metadata Headers) : IDisposable
    {
        public void Dispose() => Load.End(Call);
    }
}
