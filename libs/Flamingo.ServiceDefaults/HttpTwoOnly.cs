using System.Buffers;
using System.Net;
using System.Net.Security;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Flamingo.ServiceDefaults;

/// <summary>
/// Answers a connection that begins as HTTP/1 with a one-line explanation and closes it; passes every other connection on to the
/// server. The endpoint accepts only HTTP/2. Without TLS the protocol is not negotiated, and with TLS a caller may leave the negotiation
/// out, so the first bytes of a connection show it.
/// </summary>
internal static class HttpTwoOnly
{
    /// <summary>
    /// How long a new connection may stay silent, and how long a refused connection may continue to send before it is closed.
    /// </summary>
    private static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(30), LongestDrain = TimeSpan.FromSeconds(2);

    /// <param name="program">Name of the program, for the explanation.</param>
    /// <param name="isTls">Whether the endpoint uses TLS.</param>
    public static void ExplainToOlderHttp(this ListenOptions listen, string program, bool isTls) => listen.Use(next => async connection =>
    {
        if (await BeginsAsHttpOneAsync(connection)) await RefuseAsync(connection, program, isTls);
        // The server would log an error about a caller who did not negotiate HTTP/2, and anybody could fill the log with them.
        else if (!isTls || HasNegotiated(connection)) await next(connection);
    });

    private static bool HasNegotiated(ConnectionContext connection) =>
        connection.Features.Get<ITlsApplicationProtocolFeature>()?.ApplicationProtocol.Span
            .SequenceEqual(SslApplicationProtocol.Http2.Protocol.Span) == true;

    // HTTP/2 begins with the line "PRI * HTTP/2.0", HTTP/1 with the name of a method in capital letters.
    private static async Task<bool> BeginsAsHttpOneAsync(ConnectionContext connection)
    {
        using var timeout = TimeoutFor(connection, LongestSilence);
        var input = connection.Transport.Input;
        try
        {
            while (true)
            {
                var read = await input.ReadAsync(timeout.Token);
                var start = Encoding.Latin1.GetString(read.Buffer.Slice(0, Math.Min(4, read.Buffer.Length)));
                var undecided = start.Length < 4 && "PRI ".StartsWith(start, StringComparison.Ordinal) && !read.IsCompleted;
                input.AdvanceTo(read.Buffer.Start, undecided ? read.Buffer.End : read.Buffer.Start);
                if (!undecided) return start.Length > 0 && char.IsAsciiLetterUpper(start[0]) && start != "PRI ";
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException)
        {
            return false; // The connection is silent or closed, or the server stops; the server handles each of these cases.
        }
    }

    private static async Task RefuseAsync(ConnectionContext connection, string program, bool isTls)
    {
        var port = (connection.LocalEndPoint as IPEndPoint)?.Port;
        var (tls, plaintext, scheme) = isTls ? ("with", "", "https") : ("without", "-plaintext ", "http");
        var line = $"This is the gRPC endpoint of {program}. It accepts only HTTP/2 {tls} TLS, and this request is HTTP/1. "
            + $"Use a gRPC client, for example 'grpcurl {plaintext}HOST:{port} list', "
            + $"or for a gateway 'flamingo generate --server {scheme}://HOST:{port}'. "
            + "A gateway serves HTTP/1.1 on a port of its own, Endpoints:HttpPort.\n";
        var head = $"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {line.Length}\r\nConnection: close\r\n\r\n";
        await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(head + line));

        // The server closes the socket when this method returns or the output is completed. If unread input is left, closing
        // resets the connection, and the caller may lose the answer. So the input is read until the caller closes.
        using var timeout = TimeoutFor(connection, LongestDrain);
        try
        {
            while (true)
            {
                var read = await connection.Transport.Input.ReadAsync(timeout.Token);
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException)
        {
            // The time is over, or the caller has closed the connection.
        }
    }

    private static CancellationTokenSource TimeoutFor(ConnectionContext connection, TimeSpan longest)
    {
        var stopping = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;
        var timeout = CancellationTokenSource.CreateLinkedTokenSource(stopping, connection.ConnectionClosed);
        timeout.CancelAfter(longest);
        return timeout;
    }
}
