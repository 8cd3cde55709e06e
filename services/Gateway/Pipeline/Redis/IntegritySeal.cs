using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Gateway.Redis;

/// <summary>
/// Computes the seals of values in Redis. With a key, a seal is an HMAC-SHA256 that only those who know the key can compute. Without
/// a key it is a SHA-256, which detects damage but not a value that somebody else wrote.
/// </summary>
/// <param name="key">The key (<see cref="RedisOptions.IntegrityKey"/>); an empty string means no key.</param>
public sealed class IntegritySeal(string key)
{
    public const int SealBytes = 32;
    public const int LeastKeyCharacters = 16;

    private readonly byte[] _key = Encoding.UTF8.GetBytes(key);

    /// <summary>Seals without a key.</summary>
    public static IntegritySeal Plain { get; } = new("");

    public bool IsKeyed => _key.Length > 0;

    /// <param name="value">The value. Its length must follow from its own first bytes, because the name is appended to it.</param>
    /// <param name="name">Name under which the value is stored, so that it cannot stand under another name.</param>
    /// <returns>32 bytes.</returns>
    public byte[] Of(ReadOnlySpan<byte> value, string name)
    {
        using var hash = IsKeyed
            ? IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, _key) : IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(value);
        hash.AppendData(Encoding.UTF8.GetBytes(name));
        return hash.GetHashAndReset();
    }

    /// <summary>Whether the seal is that of this value under this name.</summary>
    public bool Fits(ReadOnlySpan<byte> seal, ReadOnlySpan<byte> value, string name) =>
        CryptographicOperations.FixedTimeEquals(seal, Of(value, name));
}
