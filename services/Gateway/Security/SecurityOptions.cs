using System.ComponentModel.DataAnnotations;

namespace Flamingo.Gateway.Security;

/// <summary>Who may call the gateway; section <c>Security</c>. Without a keys file and an issuer, everybody may.</summary>
public sealed class SecurityOptions
{
    public const string Section = "Security";

    /// <summary>The file of keys that <c>flamingo key new</c> writes. It is read again when it changes. Empty: no keys.</summary>
    public string KeysFile { get; set; } = "";

    /// <summary>
    /// Address of an OpenID issuer whose tokens (JWT) are accepted as keys are; https, or http on this machine. Empty: no tokens.
    /// </summary>
    public string Issuer { get; set; } = "";

    /// <summary>The audience that a token must name; required with <see cref="Issuer"/>.</summary>
    public string Audience { get; set; } = "";

    /// <summary>The claim of a token that holds the tenant's name.</summary>
    [Required]
    public string TenantClaim { get; set; } = "tenant";

    /// <summary>The claim of a token that holds its roles: one text, or a list of texts.</summary>
    [Required]
    public string RoleClaim { get; set; } = "roles";

    /// <summary>The role, among those of <see cref="RoleClaim"/>, whose tokens may make the calls of operators.</summary>
    [Required]
    public string OperatorRole { get; set; } = "flamingo-operator";

    /// <summary>
    /// Origins, separated by commas, whose pages may call the HTTP port from a browser (CORS), such as <c>https://app.example.org</c>;
    /// <c>*</c> allows every origin. Empty: none.
    /// </summary>
    public string CorsOrigins { get; set; } = "";

    /// <summary>Whether callers must show a key or a token.</summary>
    internal bool IsOn => KeysFile.Length > 0 || Issuer.Length > 0;

    internal IReadOnlyList<string> Origins =>
        CorsOrigins.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    internal static bool IsIssuer(string issuer) => Uri.TryCreate(issuer, UriKind.Absolute, out var address)
        && (address.Scheme == Uri.UriSchemeHttps || (address.Scheme == Uri.UriSchemeHttp && address.IsLoopback));

    internal static bool IsOrigin(string origin) => origin == "*" || (Uri.TryCreate(origin, UriKind.Absolute, out var address)
        && address.Scheme is "http" or "https" && string.Equals(
            address.GetLeftPart(UriPartial.Authority), origin, StringComparison.OrdinalIgnoreCase));
}

/// <summary>
/// What one tenant may use; section <c>Limits</c>. Zero turns a limit off. A tenant may use at once what it has not used of the last
/// minute, and a call that begins while something is left may use more than is left; the next call then waits until that is made up for.
/// </summary>
public sealed class LimitOptions
{
    public const string Section = "Limits";

    /// <summary>Most requests of a tenant per minute, of every kind except health checks.</summary>
    [Range(0, 1_000_000_000)]
    public int RequestsPerMinute { get; set; }

    /// <summary>Most pictures of a tenant's requests per minute, those named by their id included. A clip counts as its files.</summary>
    [Range(0, 1_000_000_000)]
    public int PicturesPerMinute { get; set; }

    /// <summary>Most tokens of a tenant per minute: those of prompts, of answers and of ranked candidates, charged as they are
    /// used.</summary>
    [Range(0, 1_000_000_000)]
    public int TokensPerMinute { get; set; }

    /// <summary>Most requests of a tenant that are served at once.</summary>
    [Range(0, 1_000_000_000)]
    public int ConcurrentRequests { get; set; }
}
