using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>
/// The only name a picture has beyond the gateway: a hash of everything that shapes its latents, so that a changed
/// model can never serve an old latent.
/// </summary>
public static class LatentKey
{
    /// <returns>Lowercase hexadecimal SHA-256, 64 characters.</returns>
    public static string Compute(string pictureId, string visionDigest, string resamplerDigest, string preprocessingVersion, TensorDtype latentDtype, string tenantSalt)
    {
        // every ingredient is preceded by its length, so that no two lists of ingredients read alike
        var text = new StringBuilder("flamingo latent 1");
        foreach (var part in new[] { pictureId, visionDigest, resamplerDigest, preprocessingVersion, latentDtype.ToString(), tenantSalt })
            text.Append('\0').Append(part.Length).Append('\0').Append(part);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    /// <summary>Where the attention of the resampler that made these latents is cached.</summary>
    public static string OfAttention(string key) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"flamingo attention 1\0{key}")));

    /// <summary>Where the pooled embedding of the picture with these latents is cached.</summary>
    public static string OfPooled(string key) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"flamingo pooled 1\0{key}")));
}
