using System.ComponentModel.DataAnnotations;

namespace Flamingo.Gateway.Doors;

/// <summary>What the doors of the HTTP port may do; section <c>Doors</c>.</summary>
public sealed class DoorOptions
{
    public const string Section = "Doors";

    /// <summary>
    /// Names of hosts from which pictures are fetched by https, separated by commas. Empty fetches none. A host's addresses must all be
    /// public.
    /// </summary>
    [Required(AllowEmptyStrings = true)]
    public string PictureHosts { get; set; } = "";

    /// <summary>Longest time to fetch one picture, redirects included.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:01:00")]
    public TimeSpan PictureTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Most pictures that are fetched at once, for all callers; further ones are refused with a retry delay.</summary>
    [Range(1, 10_000)]
    public int MaxPictureFetches { get; set; } = 64;

    /// <summary>Whether the HTTP port serves the page at <c>/</c>, on which people try prompts.</summary>
    public bool Page { get; set; } = true;

    internal string[] Hosts() => PictureHosts.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
