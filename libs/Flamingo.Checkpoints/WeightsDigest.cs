using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Checkpoints;

/// <summary>
/// Computes the digest that identifies a set of weights: SHA-256 over the name, dtype, shape and bytes of every tensor, in ordinal order
/// of names.
/// </summary>
public static class WeightsDigest
{
    private const int Part = 4 << 20;

    /// <summary>
    /// Returns whether a tensor changes latents. The tensors of the pooled embedding (<c>proj</c> and <c>ln_post</c>) do not.
    /// </summary>
    public static bool ShapesLatents(string name) => name != "proj" && !name.StartsWith("ln_post.", StringComparison.Ordinal);

    /// <param name="file">The weights.</param>
    /// <param name="includes">Selects the tensors by name.</param>
    /// <returns>The digest in lowercase hexadecimal, 64 characters.</returns>
    public static string Compute(SafetensorsFile file, Func<string, bool> includes)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> number = stackalloc byte[8];
        var part = new byte[Part];
        foreach (var entry in file.Entries.Values.Where(entry => includes(entry.Name)).OrderBy(entry => entry.Name, StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{entry.Name}\0{entry.Dtype}\0[{string.Join(',', entry.Shape)}]\0"));
            BinaryPrimitives.WriteInt64LittleEndian(number, entry.Length);
            hash.AppendData(number);
            for (var at = 0L; at < entry.Length; at += Part)
            {
                var some = part.AsSpan(0, (int)Math.Min(Part, entry.Length - at));
                file.Copy(entry, at, some);
                hash.AppendData(some);
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
