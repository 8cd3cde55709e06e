using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Gateway.Security.Keys;

/// <summary>
/// A key as its owner holds it: <c>flm_ID_SECRET</c>. The id is public and finds the key's entry; the secret is 32 random bytes in
/// base64url.
/// This is no record, so that no log prints the secret by accident.
/// </summary>
public sealed class AccessKey
{
    public const string Prefix = "flm_";

    private const int IdBytes = 6, SecretBytes = 32, SecretCharacters = 43, MostIdCharacters = 64;

    private readonly string _secret;

    private AccessKey(string id, string secret) => (Id, _secret) = (id, secret);

    public string Id { get; }

    /// <summary>The whole key with its secret.</summary>
    public string Reveal() => $"{Prefix}{Id}_{_secret}";

    public static AccessKey New() => new(
        Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdBytes)),
        Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(SecretBytes)));

    /// <returns>The key; null if the text does not have the form of a key.</returns>
    public static AccessKey? Parse(string text)
    {
        if (!text.StartsWith(Prefix, StringComparison.Ordinal)) return null;
        var end = text.IndexOf('_', Prefix.Length); // the secret may contain further underscores
        if (end < 0) return null;
        var (id, secret) = (text[Prefix.Length..end], text[(end + 1)..]);
        return IsId(id) && secret.Length == SecretCharacters && Base64Url.IsValid(secret) ? new AccessKey(id, secret) : null;
    }

    public static bool IsId(string id) => id.Length is > 0 and <= MostIdCharacters && id.All(char.IsAsciiLetterOrDigit);

    /// <summary>SHA-256 of the secret's text.</summary>
    public byte[] Digest() => SHA256.HashData(Encoding.ASCII.GetBytes(_secret));

    public override string ToString() => $"{Prefix}{Id}_…";
}
