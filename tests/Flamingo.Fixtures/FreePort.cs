using System.Net;
using System.Net.Sockets;

namespace Flamingo.Fixtures;

/// <summary>
/// Ports below those that the system hands out to outgoing connections, so that a port stays free between two processes that
/// serve on it.
/// </summary>
public static class FreePort
{
    private const int First = 20_000, Count = 12_000;
    private static int _next = Environment.ProcessId * 61 % Count; // test runs beside this one look elsewhere first

    public static int Next()
    {
        for (var tried = 0; tried < Count; tried++)
        {
            var port = First + (Interlocked.Increment(ref _next) % Count);
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // taken
            }
        }

        throw new InvalidOperationException("No port is free.");
    }
}
