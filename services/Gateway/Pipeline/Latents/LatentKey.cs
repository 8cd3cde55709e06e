using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Latents;

/// <summary>
/// The key of a picture's latents: a hash of everything that affects them, so that a changed model never uses old latents. Stages
/// behind the gateway know a picture only by this key.
/// </summary>
public static class LatentKey
{
    /// <returns>Lowercase hexadecimal SHA-256, 64 characters.</returns>
    public static string Compute(
        string pictureId, string visionDigest, string resamplerDigest, string preprocessingVersion, TensorDtype latentDtype,
        string tenantSalt)
    {
        // Each part is preceded by its length, so that two different lists of parts cannot give the same text.
        var text = new StringBuilder("flamingo latent 1");
        foreach (var part in new[] { pictureId, visionDigest, resamplerDigest, preprocessingVersion, latentDtype.ToString(), tenantSalt })
            text.Append('\0').Append(part.Length).Append('\0').Append(part);
        return Hash(text.ToString());
    }

    /// <summary>Returns the key of the attention over patches that belongs to the latents with this key.</summary>
    public static string OfAttention(string key) => Hash($"flamingo attention 1\0{key}");

    /// <summary>Returns the key of the pooled embedding that belongs to the latents with this key.</summary>
    public static string OfPooled(string key) => Hash($"flamingo pooled 1\0{key}");

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
