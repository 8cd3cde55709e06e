using System.Buffers;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Flamingo.ServiceDefaults;

/// <summary>
/// A connection that begins as HTTP/1 is told in one line what the address is for, and closed; every other one is the server's. The
/// endpoint itself speaks HTTP/2 alone: without TLS the protocol is not negotiated, so the first bytes must tell it.
/// </summary>
internal static class HttpTwoAlone
{
    /// <summary>How long a connection may send nothing, and how long a refused one may go on sending before it is closed.</summary>
    private static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(30), LongestRest = TimeSpan.FromSeconds(2);

    /// <param name="program">The program's name, for the line.</param>
    public static void ExplainToOlderHttp(this ListenOptions listen, string program) => listen.Use(next => async connection =>
    {
        if (await BeginsAsHttpOneAsync(connection)) await RefuseAsync(connection, program);
        else await next(connection);
    });

    // HTTP/2 begins with the line "PRI * HTTP/2.0"; HTTP/1 with another word of capital letters
    private static async Task<bool> BeginsAsHttpOneAsync(ConnectionContext connection)
    {
        using var patience = Patience(connection, LongestSilence);
        var input = connection.Transport.Input;
        try
        {
            while (true)
            {
                var read = await input.ReadAsync(patience.Token);
                var start = Encoding.Latin1.GetString(read.Buffer.Slice(0, Math.Min(4, read.Buffer.Length)));
                var undecided = start.Length < 4 && "PRI ".StartsWith(start, StringComparison.Ordinal) && !read.IsCompleted;
                input.AdvanceTo(read.Buffer.Start, undecided ? read.Buffer.End : read.Buffer.Start);
                if (!undecided) return start.Length > 0 && char.IsAsciiLetterUpper(start[0]) && start != "PRI ";
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException)
        {
            return false; // silent, gone, or the server stops: the server deals with it
        }
    }

    private static async Task RefuseAsync(ConnectionContext connection, string program)
    {
        var port = (connection.LocalEndPoint as IPEndPoint)?.Port;
        var line = $"This is the gRPC endpoint of {program}: HTTP/2 only, without TLS, and the request came as HTTP/1. "
            + $"Use a gRPC client, for example 'grpcurl -plaintext HOST:{port} list', "
            + $"or for a gateway 'flamingo generate --server http://HOST:{port}'.\n";
        var head = $"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {line.Length}\r\nConnection: close\r\n\r\n";
        await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(head + line));

        // The server closes the socket when this method returns or the output is completed. With something unread that resets the
        // connection, and the caller may lose the answer.
        using var patience = Patience(connection, LongestRest);
        try
        {
            while (true)
            {
                var read = await connection.Transport.Input.ReadAsync(patience.Token);
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException)
        {
            // enough was waited, or the caller has gone
        }
    }

    private static CancellationTokenSource Patience(ConnectionContext connection, TimeSpan longest)
    {
        var stopping = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;
        var patience = CancellationTokenSource.CreateLinkedTokenSource(stopping, connection.ConnectionClosed);
        patience.CancelAfter(longest);
        return patience;
    }
}
