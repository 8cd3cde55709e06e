using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Transport.Remote.Replicas;

/// <summary>What prompts that share a cached prefix have in common: the tenant and the beginning.</summary>
public static class PromptAffinity
{
    /// <summary>
    /// Segments that count: a first example's picture and text. With more, prompts that share their shots would part at the first
    /// difference.
    /// </summary>
    private const int Segments = 2;

    private const int TextCharacters = 64;

    /// <returns>Lowercase hexadecimal, 64 characters; equal for prompts of one tenant whose first two segments begin alike.</returns>
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
