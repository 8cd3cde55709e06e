using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Transport.Remote.Replicas;

/// <summary>
/// Computes a key that is equal for prompts that may share a cached prefix. It depends on the tenant and on the beginning of the
/// prompt.
/// </summary>
public static class PromptAffinity
{
    /// <summary>
    /// Number of segments in the key: the picture and the text of the first example. With more segments, prompts that share only
    /// some shots would get different keys.
    /// </summary>
    private const int Segments = 2;

    private const int TextCharacters = 64;

    /// <returns>64 lowercase hexadecimal characters, equal for prompts of one tenant whose first two segments have the same
    /// picture and the same first 64 characters of text.</returns>
    public static string Key(string tenant, IReadOnlyList<PromptSegment> segments)
    {
        var text = new StringBuilder(tenant);
        foreach (var segment in segments.Take(Segments))
        {
            text.Append('\0').Append(segment switch
            {
                PictureSegment picture => "picture\0" + picture.Key,
                TextSegment words => "text\0" + words.Text[..Math.Min(words.Text.Length, TextCharacters)],
                _ => "",
            });
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }
}
