using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.Checkpoints;

/// <summary>The name of a set of weights: SHA-256 over every tensor's name, dtype, shape and bytes, in ordinal order of names.</summary>
public static class WeightsDigest
{
    private const int Part = 4 << 20;

    /// <summary>Tensors of the vision tower that shape the pooled embedding but no latent.</summary>
    public static bool ShapesLatents(string name) => name != "proj" && !name.StartsWith("ln_post.", StringComparison.Ordinal);

    /// <returns>Lowercase hexadecimal, 64 characters.</returns>
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
