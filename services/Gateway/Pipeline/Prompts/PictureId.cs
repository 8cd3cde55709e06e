using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Prompts;

/// <summary>
/// The public name of a picture or clip: 64 lowercase hexadecimal characters. It depends on nothing but the files, so that a client can
/// compute it too.
/// </summary>
public static class PictureId
{
    public static string Of(ReadOnlySpan<byte> file) => Convert.ToHexStringLower(SHA256.HashData(file));

    /// <param name="clip">MaxFrames as the caller sent it.</param>
    public static string Of(VisualInput clip)
    {
        var files = string.Concat(clip.Files.Select(file => " " + Of(file.Span)));
        return Of(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"flamingo clip 1 {clip.MaxFrames}") + files));
    }

    public static bool IsWellFormed(string id) =>
        id.Length == 64 && id.All(character => character is >= '0' and <= '9' or >= 'a' and <= 'f');
}
