using System.Security.Cryptography.X509Certificates;
using Flamingo.Abstractions;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flamingo.Client;

/// <summary>
/// Settings of a <see cref="FlamingoClient"/>: addresses, tenant, timeouts and retries. The client reads them once, in its
/// constructor.
/// </summary>
public sealed class FlamingoClientOptions
{
    /// <summary>
    /// At least one address: <c>http://host:port</c>, <c>https://host:port</c>, or <c>dns:///name:port</c> for all gateways
    /// behind a DNS name. The port may be the gateway's gRPC port or its HTTP port, which is called by gRPC-Web; the first call
    /// finds out which. Calls go to several gateways in turn. A gateway that fails is skipped, and calls that it had not begun to
    /// answer go to the next gateway. Where a proxy serves a gateway below a path, the address has it: <c>https://host/path</c>.
    /// </summary>
    public IReadOnlyList<string> Addresses { get; set; } = ["http://localhost:8080"];

    /// <summary>The tenant of requests that name none; see <see cref="TenantName"/>.</summary>
    public string Tenant { get; set; } = TenantName.Default;

    /// <summary>
    /// Longest time of one call, including retries and the whole of a streamed answer; null sets no limit.
    /// </summary>
    public TimeSpan? Timeout { get; set; }

    /// <summary>Longest time to open one connection.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>How long a call is retried while no server listens, so that a server that is just starting can answer it.</summary>
    public TimeSpan WaitForServer { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Largest number of attempts of a call that no server began to answer. Null means 1 for a single address, 2 per address for
    /// several addresses, and 10 if there is a DNS name, because its balancer may choose a dead server again. Changes of support
    /// sets are not retried.
    /// </summary>
    public int? Attempts { get; set; }

    /// <summary>
    /// Whether a picture that the server holds is sent by its id instead of its bytes. If the server has evicted the picture, the
    /// client sends the bytes again.
    /// </summary>
    public bool SendsPicturesOnce { get; set; } = true;

    /// <summary>
    /// A key (<c>flm_…</c>) or a token, sent as <c>authorization: Bearer …</c> with every call; null sends none. The key decides the
    /// tenant,
    /// so <see cref="Tenant"/> stays empty. Without TLS everybody on the way to the server can read it, which is logged once for addresses
    /// that are not of this machine; it is not refused, because gateways serve without TLS behind a proxy or in a network of their own.
    /// </summary>
    public string? Key { get; set; }

    /// <summary>Headers to send with every call, for example <c>authorization</c>.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; set; } = new Dictionary<string, string>();

    /// <summary>Credentials that add headers to each call, for example a token that expires. They require TLS.</summary>
    public CallCredentials? CallCredentials { get; set; }

    /// <summary>
    /// Whether connections to <c>dns:///</c> addresses use TLS. For other addresses the scheme, <c>http://</c> or
    /// <c>https://</c>, decides.
    /// </summary>
    public bool UseTls { get; set; }

    /// <summary>Certificate authorities that the servers' certificates are checked against; null uses the system's authorities.</summary>
    public X509Certificate2Collection? TrustedCertificates { get; set; }

    /// <summary>
    /// A certificate with its private key, shown to servers that ask for one (mutual TLS); null shows none. The client does not dispose it.
    /// </summary>
    public X509Certificate2? ClientCertificate { get; set; }

    /// <summary>
    /// An HTTP handler to use instead of the client's own, for example for a proxy. For <c>dns:///</c> it
    /// must be a <see cref="SocketsHttpHandler"/>. <see cref="ConnectTimeout"/>, <see cref="TrustedCertificates"/> and
    /// <see cref="ClientCertificate"/> then have no effect. The client does not dispose the handler.
    /// </summary>
    public HttpMessageHandler? HttpHandler { get; set; }

    /// <summary>Creates the loggers of the client and of gRPC.</summary>
    public ILoggerFactory LoggerFactory { get; set; } = NullLoggerFactory.Instance;

    public TimeProvider TimeProvider { get; set; } = TimeProvider.System;
}
