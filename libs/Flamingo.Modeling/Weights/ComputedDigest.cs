using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using ScalarType = TorchSharp.torch.ScalarType;

namespace Flamingo.Modeling.Weights;

/// <summary>
/// Names of weights as a stage computes with them. Every answer carries one, and latent keys are made of them, so that results of
/// different weights, dtypes or settings never stand for each other.
/// </summary>
public static class ComputedDigest
{
    /// <summary>
    /// The name of weights as they are computed. The same file gives other results in another dtype or storage, so it gets another name.
    /// </summary>
    /// <param name="digest">The digest of the file.</param>
    public static string Of(string digest, ScalarType dtype, WeightStorage storage) =>
        dtype == ScalarType.Float32 && storage == WeightStorage.Native ? digest : Hash($"{digest} in {Computing(dtype, storage)}");

    /// <summary>
    /// The name of the weights of a stage whose configuration shapes results too: equal weights under another head count are another model.
    /// </summary>
    /// <param name="digest">The digest of what shapes results in the file.</param>
    /// <param name="config">What else shapes results; a record of flamingo.json.</param>
    public static string Of<TConfig>(string digest, TConfig config, ScalarType dtype, WeightStorage storage) =>
        Hash($"{digest} with {JsonSerializer.Serialize(config)} in {Computing(dtype, storage)}");

    /// <returns>SHA-256 in lowercase hexadecimal.</returns>
    public static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private static string Computing(ScalarType dtype, WeightStorage storage) =>
        storage == WeightStorage.Native ? $"{dtype}" : $"{dtype} from {storage}";
}
