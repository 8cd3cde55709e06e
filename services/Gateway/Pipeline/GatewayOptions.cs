using System.ComponentModel.DataAnnotations;
using Flamingo.Configuration.Certificates;

namespace Flamingo.Gateway;

/// <summary>Limits of requests and of the memory tier; section <c>Gateway</c>.</summary>
public sealed class GatewayOptions
{
    public const string Section = "Gateway";

    /// <summary>Largest number of requests that run at once.</summary>
    [Range(1, 100_000)]
    public int MaxConcurrentRequests { get; set; } = 64;

    /// <summary>Largest number of waiting requests. A further request fails with RESOURCE_EXHAUSTED and a retry delay.</summary>
    [Range(0, 100_000)]
    public int MaxQueuedRequests { get; set; } = 256;

    /// <summary>Largest number of pictures in one request.</summary>
    [Range(1, 4096)]
    public int MaxPicturesPerRequest { get; set; } = 64;

    /// <summary>
    /// How long the events of a streamed answer may wait without the caller taking any. Then the answer ends with ABORTED.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "01:00:00")]
    public TimeSpan WriteStallTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Longest wait for one call of the vision encoder or of the resampler. A request that waits longer fails with
    /// DEADLINE_EXCEEDED. It is longer than a full queue of the vision encoder takes.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "01:00:00")]
    public TimeSpan EncodeTimeout { get; set; } = TimeSpan.FromMinutes(3);

    /// <summary>Size of the memory tier, in bytes of latents.</summary>
    [Range(0, long.MaxValue)]
    public long MemoryCacheBytes { get; set; } = 256L << 20;

    /// <summary>Salt of every latent key. Gateways with different salts share no latents.</summary>
    [Required(AllowEmptyStrings = true)]
    public string TenantSalt { get; set; } = "";

    /// <summary>
    /// Who may empty the latent cache over gRPC: loopback (callers whose connection comes from this machine), all, or none. Behind a proxy
    /// or Docker's address translation, the address of the connection is not that of the caller.
    /// </summary>
    [AllowedValues(Abstractions.OperatorCalls.Loopback, Abstractions.OperatorCalls.All, Abstractions.OperatorCalls.None)]
    public string OperatorCalls { get; set; } = Abstractions.OperatorCalls.Loopback;

    /// <summary>
    /// Names under which callers of OpenAI's API may ask for the model besides its own, separated by commas. Empty means the name of the
    /// model's directory, in a process that has the directory.
    /// </summary>
    [Required(AllowEmptyStrings = true)]
    public string ModelAliases { get; set; } = "";
}

/// <summary>The shared tier of the latent cache; section <c>Redis</c>.</summary>
public sealed class RedisOptions
{
    public const string Section = "Redis";

    /// <summary>StackExchange.Redis connection string; an empty string turns Redis off.</summary>
    public string ConnectionString { get; set; } = "";

    /// <summary>User of Redis' access control list; an empty string means Redis' default user.</summary>
    public string User { get; set; } = "";

    /// <summary>Password of the user, so that it need not be part of <see cref="ConnectionString"/>. Empty: none, or the one there.</summary>
    public string Password { get; set; } = "";

    /// <summary>
    /// PEM file of the authorities of Redis' certificate; read again when it changes. It turns TLS on, for support sets in a Redis of their
    /// own too. Empty: the system's authorities, if <see cref="ConnectionString"/> has <c>ssl=true</c>.
    /// </summary>
    public string CaFile { get; set; } = "";

    /// <summary>PEM file of the certificate that Redis is shown; read again when it changes. It turns TLS on. Empty: none.</summary>
    public string CertificateFile { get; set; } = "";

    /// <summary>PEM file of the private key of <see cref="CertificateFile"/>. Empty: it is in the certificate's file.</summary>
    public string KeyFile { get; set; } = "";

    /// <summary>Prefix of every key.</summary>
    public string InstanceName { get; set; } = "flamingo:latents:";

    /// <summary>
    /// Key of the seals (HMAC-SHA256) of all values in Redis, at least 16 characters; values that are sealed otherwise are not used.
    /// An empty string seals without a key (SHA-256), which detects damage but not values that others wrote.
    /// </summary>
    public string IntegrityKey { get; set; } = "";

    /// <summary>Longest wait for a lookup. When it has passed, the pictures of the lookup count as misses.</summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "00:01:00")]
    public TimeSpan LookupBudget { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Longest wait until leases are taken, renewed or released. When it has passed, this gateway encodes the pictures without leases.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "00:01:00")]
    public TimeSpan LeaseBudget { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Longest wait for a write of up to 16 values, and as long again for each further 16. No request waits for it, because values are
    /// written after the answer.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "00:01:00")]
    public TimeSpan WriteBudget { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>How long an entry is kept after its last use.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "365.00:00:00")]
    public TimeSpan TimeToLive { get; set; } = TimeSpan.FromDays(1);

    /// <summary>How long calls of one kind (lookups, leases, writes) are skipped after repeated failures.</summary>
    [Range(typeof(TimeSpan), "00:00:00.500", "00:10:00")]
    public TimeSpan BreakDuration { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long a lease on a picture lasts unless its owner renews it. Other gateways wait this long for an owner that has died.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:01:00")]
    public TimeSpan LeaseDuration { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Longest wait for another gateway's encoding, and longest time for which an owner renews its lease. An owner that hangs
    /// delays other gateways no longer than this.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:10:00")]
    public TimeSpan LeaseWait { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Whether the options turn TLS on, whatever the connection string says.</summary>
    internal bool IsTls => CaFile.Length > 0 || CertificateFile.Length > 0;

    internal PemFile Ca => new($"{Section}:{nameof(CaFile)}", CaFile);

    internal PemFile Certificate => new($"{Section}:{nameof(CertificateFile)}", CertificateFile);

    internal PemFile Key => KeyFile.Length == 0 ? Certificate : new($"{Section}:{nameof(KeyFile)}", KeyFile);
}
