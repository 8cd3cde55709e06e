using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Flamingo.Protos.V1;

namespace Flamingo.Client;

/// <summary>The name under which a service knows a picture or clip, made of nothing but its files: 64 lowercase hexadecimal characters. Another tenant's picture of that id is not found.</summary>
public static class PictureId
{
    /// <param name="file">The encoded file.</param>
    public static string Of(ReadOnlySpan<byte> file) => Convert.ToHexStringLower(SHA256.HashData(file));

    /// <param name="clip">With MaxFrames as it is sent.</param>
    public static string Of(VisualInput clip) => Of(Encoding.UTF8.GetBytes(
        string.Create(CultureInfo.InvariantCulture, $"flamingo clip 1 {clip.MaxFrames}") + string.Concat(clip.Files.Select(file => " " + Of(file.Span)))));
}
