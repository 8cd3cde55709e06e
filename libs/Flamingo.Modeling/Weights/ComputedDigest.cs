using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using ScalarType = TorchSharp.torch.ScalarType;

namespace Flamingo.Modeling.Weights;

/// <summary>
/// Digests that identify the weights, dtype and settings with which a stage computes. Every answer contains one, and latent keys
/// are derived from them, so that results of different weights, dtypes or settings are never mistaken for each other.
/// </summary>
public static class ComputedDigest
{
    /// <summary>
    /// The digest of weights in a dtype and storage. The same file gives other results in another dtype or storage, so its digest differs.
    /// </summary>
    /// <param name="digest">The digest of the file.</param>
    public static string Of(string digest, ScalarType dtype, WeightStorage storage) =>
        dtype == ScalarType.Float32 && storage == WeightStorage.Native ? digest : Hash($"{digest} in {Computing(dtype, storage)}");

    /// <summary>
    /// The digest of the weights of a stage whose configuration affects results too: equal weights with another number of heads
    /// are another model.
    /// </summary>
    /// <param name="digest">The digest of the weights in the file that affect results.</param>
    /// <param name="config">The record of flamingo.json that affects results.</param>
    public static string Of<TConfig>(string digest, TConfig config, ScalarType dtype, WeightStorage storage) =>
        Hash($"{digest} with {JsonSerializer.Serialize(config)} in {Computing(dtype, storage)}");

    /// <returns>SHA-256 in lowercase hexadecimal.</returns>
    public static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private static string Computing(ScalarType dtype, WeightStorage storage) =>
        storage == WeightStorage.Native ? $"{dtype}" : $"{dtype} from {storage}";
}
