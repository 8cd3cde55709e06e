using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Transport.Remote.Replicas;

/// <summary>
/// Rendezvous hashing (highest random weight; Thaler and Ravishankar 1998): for each key, all replicas are ordered by a hash of
/// key and replica, and the first in order serves the key. A replica that is added or removed changes the placement only of its
/// own keys.
/// </summary>
public static class Rendezvous
{
    /// <param name="replicas">Names of the replicas; at least one, without duplicates.</param>
    /// <param name="calls">Number of calls in flight at each replica.</param>
    /// <param name="spill">
    /// A replica with this many calls more than the least loaded replica is busy and skipped. At least 1, which selects among the
    /// least loaded replicas.
    /// </param>
    /// <returns>Index of the first replica in the key's order that is not busy.</returns>
    public static int Choose(string key, IReadOnlyList<string> replicas, IReadOnlyList<int> calls, int spill)
    {
        var bound = calls.Min() + spill;
        var (chosen, highest) = (-1, 0ul);
        for (var index = 0; index < replicas.Count; index++)
        {
            var weight = Weight(key, replicas[index]);
            if (calls[index] < bound && (chosen < 0 || weight > highest)) (chosen, highest) = (index, weight);
        }

        return chosen;
    }

    private static ulong Weight(string key, string replica) =>
        BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes($"{key}\0{replica}")));
}
