using System.Security.Cryptography.X509Certificates;
using Flamingo.Abstractions;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flamingo.Client;

/// <summary>How a <see cref="FlamingoClient"/> connects and for whom it asks. It is read once, when the client is made.</summary>
public sealed class FlamingoClientOptions
{
    /// <summary>
    /// At least one: <c>http://host:port</c>, <c>https://host:port</c>, or <c>dns:///name:port</c> for all gateways behind a name. Calls
    /// go to several in turn; one that dies is left out, and calls that it had not begun to answer go to the next.
    /// </summary>
    public IReadOnlyList<string> Addresses { get; set; } = ["http://localhost:8080"];

    /// <summary>The tenant of requests that name none; see <see cref="TenantName"/>.</summary>
    public string Tenant { get; set; } = TenantName.Default;

    /// <summary>
    /// Longest time of one call, further attempts and the whole of a streamed answer included; null is as long as it takes.
    /// </summary>
    public TimeSpan? Timeout { get; set; }

    /// <summary>Longest wait for one connection.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>How long a call waits for a server to listen where none does, so that one that is just being started answers it.</summary>
    public TimeSpan WaitForServer { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Most attempts of a call that servers did not begin to answer. Null: 1 at a lone server, 2 for each of several, and 10 where
    /// there is a DNS name, because its balancer may choose a dead server again. Changes of support sets are never repeated.
    /// </summary>
    public int? Attempts { get; set; }

    /// <summary>
    /// Whether a picture that the server holds is sent by its id instead of its bytes; bytes that the server has lost meanwhile are
    /// sent again by themselves.
    /// </summary>
    public bool SendsPicturesOnce { get; set; } = true;

    /// <summary>Sent with every call, for example <c>authorization</c>.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; set; } = new Dictionary<string, string>();

    /// <summary>Makes headers for each call, for example a token that expires; only over TLS.</summary>
    public CallCredentials? CallCredentials { get; set; }

    /// <summary>Whether <c>dns:///</c> addresses are connected to by TLS; <c>http://</c> and <c>https://</c> say it themselves.</summary>
    public bool UseTls { get; set; }

    /// <summary>Authorities that servers' certificates are checked against; null is those of the system.</summary>
    public X509Certificate2Collection? TrustedCertificates { get; set; }

    /// <summary>
    /// Instead of the client's own handler, for example for a proxy or a client certificate; for <c>dns:///</c> a
    /// <see cref="SocketsHttpHandler"/>. It replaces <see cref="ConnectTimeout"/> and <see cref="TrustedCertificates"/>, and its
    /// owner disposes it.
    /// </summary>
    public HttpMessageHandler? HttpHandler { get; set; }

    /// <summary>For the client's own messages and those of gRPC.</summary>
    public ILoggerFactory LoggerFactory { get; set; } = NullLoggerFactory.Instance;

    public TimeProvider TimeProvider { get; set; } = TimeProvider.System;
}
