using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Transport.Remote.Replicas;

/// <summary>
/// Rendezvous hashing (highest random weight; Thaler and Ravishankar 1998): every key orders all replicas by a hash of
/// key and replica. The first in order serves it; one that comes or goes moves its own keys and no others.
/// </summary>
public static class Rendezvous
{
    /// <param name="replicas">Names, at least one, each once.</param>
    /// <param name="calls">Calls in flight at each.</param>
    /// <param name="spill">
    /// A replica with this many calls more than the least loaded one is busy and passed over; at least 1, which is the least
    /// loaded.
    /// </param>
    /// <returns>Index of the first in the key's order that is not busy.</returns>
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
