using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Flamingo.Testing;

public enum ProxyFault
{
    None,

    /// <summary>Open connections are closed and new ones are refused.</summary>
    Killed,

    /// <summary>Connections stay open, but no byte is forwarded.</summary>
    Paused,

    /// <summary>Every answer is delayed.</summary>
    Slowed,

    /// <summary>Answers are replaced by random bytes.</summary>
    Garbage,
}

/// <summary>
/// TCP to a server on loopback, through every fault that a network or a server can have, and healthy again; nothing that was held
/// is lost.
/// </summary>
public sealed class FaultyProxy : IAsyncDisposable
{
    private readonly int _target;
    private readonly ConcurrentDictionary<Task, Socket[]> _connections = new();
    private readonly Lock _lock = new();
    private volatile State _state = new(ProxyFault.None, TimeSpan.Zero);
    private TcpListener? _listener;
    private Task _accepting = Task.CompletedTask;
    private int _accepted;

    private FaultyProxy(int target) => _target = target;

    public int Port { get; private set; }

    /// <summary>Number of open connections.</summary>
    public int Connections => _connections.Count;

    /// <param name="target">Port of the server.</param>
    public static FaultyProxy Start(int target)
    {
        var proxy = new FaultyProxy(target);
        proxy.Listen();
        return proxy;
    }

    /// <param name="delay">The delay of every answer in the mode with slow answers.</param>
    public void Become(ProxyFault fault, TimeSpan delay = default)
    {
        lock (_lock)
        {
            var before = _state;
            _state = new State(fault, delay);
            if (fault == ProxyFault.Killed) Drop();
            else if (_listener is null) Listen();
            before.Over.TrySetResult();
        }
    }

    public async ValueTask DisposeAsync()
    {
        Become(ProxyFault.Killed);
        await _accepting;
        await Task.WhenAll(_connections.Keys);
    }

    private void Listen()
    {
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _accepting = AcceptAsync(_listener);
    }

    private void Drop()
    {
        _listener?.Stop();
        _listener = null;
        foreach (var socket in _connections.Values.SelectMany(sockets => sockets)) socket.Dispose();
    }

    private async Task AcceptAsync(TcpListener listener)
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptSocketAsync();
                var server = new Socket(SocketType.Stream, ProtocolType.Tcp);
                lock (_lock)
                {
                    if (_listener != listener) client.Dispose();
                    var serving = ServeAsync(client, server, new Random(++_accepted));
                    _connections[serving] = [client, server];
                    _ = serving.ContinueWith(done => _connections.TryRemove(done, out _), TaskScheduler.Default);
                }
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // the proxy was stopped
        }
    }

    private async Task ServeAsync(Socket client, Socket server, Random random)
    {
        await Task.Yield();
        using (client)
        using (server)
        {
            try
            {
                await server.ConnectAsync(IPAddress.Loopback, _target);
                // the end of one direction ends both directions
                await Task.WhenAny(PumpAsync(client, server, null), PumpAsync(server, client, random));
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
                // the server does not accept connections
            }
        }
    }

    // Only answers are delayed or replaced by random bytes, so only they have a random generator.
    private async Task PumpAsync(Socket from, Socket to, Random? random)
    {
        try
        {
            var buffer = new byte[64 << 10];
            for (int read; (read = await from.ReceiveAsync(buffer)) > 0;)
            {
                while (_state is { Fault: ProxyFault.Paused } paused) await paused.Over.Task;
                if (random is not null && _state is { Fault: ProxyFault.Slowed } slowed)
                    await Task.WhenAny(Task.Delay(slowed.Delay), slowed.Over.Task);
                if (_state.Fault == ProxyFault.Garbage) random?.NextBytes(buffer.AsSpan(0, read));
                for (var sent = 0; sent < read;) sent += await to.SendAsync(buffer.AsMemory(sent, read - sent));
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // the other side has closed the connection
        }
    }

    private sealed record State(ProxyFault Fault, TimeSpan Delay)
    {
        public TaskCompletionSource Over { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
