using System.Buffers.Text;
using StackExchange.Redis;

namespace Flamingo.Gateway.SupportSets;

/// <summary>What Redis holds of a support set now, without its examples.</summary>
/// <param name="State">
/// The revision, which changes compare; empty if there is no set, and a question mark if the entry is damaged so that it has none.
/// </param>
/// <param name="Version">The version; 0 if there is no set, or if the entry is damaged so that it has none.</param>
/// <param name="Summary">The set without its shots; null if there is none or it is damaged.</param>
/// <param name="Revision">The revision that names the pictures; empty if it is not known.</param>
/// <param name="Bytes">Size of the set as counted by the index; 0 if the index does not have it.</param>
internal sealed record RedisSupportSetEntry(RedisValue State, long Version, StoredSet? Summary, string Revision, long Bytes)
{
    /// <summary>The fields that are read: version, revision, and the summary as this gateway and as older gateways write it.</summary>
    public static readonly RedisValue[] Fields = ["version", "revision", "summary", "head"];

    public bool Exists => !State.IsNullOrEmpty;

    /// <summary>
    /// The version of the set that replaces this one. If the version of a damaged entry is not known, it is the time, which is larger
    /// than any number of replacements.
    /// </summary>
    public long NextVersion(DateTimeOffset now) => Version > 0 ? Version + 1 : Exists ? now.ToUnixTimeMilliseconds() : 1;

    /// <returns>0 for a version that no gateway wrote. The next version of every other one is accepted too.</returns>
    public static long VersionOf(RedisValue field) =>
        field.TryParse(out long version) && version is > 0 and < SupportSetFormat.LargestVersion ? version : 0;
}

/// <summary>An entry of a tenant's index, in the form that <see cref="SupportSetScripts"/> describes.</summary>
internal sealed record RedisIndexEntry(long Bytes, ReadOnlyMemory<byte> Summary)
{
    public static RedisIndexEntry? Read(RedisValue value)
    {
        var text = (ReadOnlyMemory<byte>)value;
        if (!Utf8Parser.TryParse(text.Span, out long bytes, out var first) || bytes < 0) return null;
        var rest = text[first..];
        if (rest.Length == 0 || rest.Span[0] != (byte)' ' || !Utf8Parser.TryParse(rest.Span[1..], out long _, out var second)) return null;
        rest = rest[(1 + second)..];
        return rest.Length == 0 || rest.Span[0] != (byte)' ' ? null : new RedisIndexEntry(bytes, rest[1..]);
    }
}
