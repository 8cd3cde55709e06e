using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Checkpoints;

/// <summary>The name of a set of weights: SHA-256 over every tensor's name, dtype, shape and bytes, in ordinal order of names.</summary>
public static class WeightsDigest
{
    /// <summary>Tensors of the vision tower that shape the pooled embedding but no latent.</summary>
    public static bool ShapesLatents(string name) => name != "proj" && !name.StartsWith("ln_post.", StringComparison.Ordinal);

    /// <returns>Lowercase hexadecimal, 64 characters.</returns>
    public static string Compute(SafetensorsFile file, Func<string, bool> includes)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> number = stackalloc byte[8];
        foreach (var entry in file.Entries.Values.Where(entry => includes(entry.Name)).OrderBy(entry => entry.Name, StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{entry.Name}\0{entry.Dtype}\0[{string.Join(',', entry.Shape)}]\0"));
            BinaryPrimitives.WriteInt64LittleEndian(number, entry.Length);
            hash.AppendData(number);
            hash.AppendData(file.Read(entry));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
