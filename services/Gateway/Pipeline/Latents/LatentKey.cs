using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Latents;

/// <summary>
/// The only name a picture has beyond the gateway: a hash of everything that shapes its latents, so that a changed
/// model can never serve an old latent.
/// </summary>
public static class LatentKey
{
    /// <returns>Lowercase hexadecimal SHA-256, 64 characters.</returns>
    public static string Compute(
        string pictureId, string visionDigest, string resamplerDigest, string preprocessingVersion, TensorDtype latentDtype,
        string tenantSalt)
    {
        // Every ingredient is preceded by its length, so that no two lists of ingredients give the same text.
        var text = new StringBuilder("flamingo latent 1");
        foreach (var part in new[] { pictureId, visionDigest, resamplerDigest, preprocessingVersion, latentDtype.ToString(), tenantSalt })
            text.Append('\0').Append(part.Length).Append('\0').Append(part);
        return Hash(text.ToString());
    }

    /// <summary>The key of what each latent of the picture with this key read of the patches.</summary>
    public static string OfAttention(string key) => Hash($"flamingo attention 1\0{key}");

    /// <summary>The key of the pooled embedding of the picture with this key.</summary>
    public static string OfPooled(string key) => Hash($"flamingo pooled 1\0{key}");

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
