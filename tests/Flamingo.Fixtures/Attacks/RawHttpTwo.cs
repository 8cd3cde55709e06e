using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Flamingo.Fixtures.Attacks;

/// <summary>
/// A connection of HTTP/2 without TLS to a server on this machine, for what no gRPC library sends: a window that never opens, a
/// message that never ends, headers of any size. It acknowledges settings and pings, and collects what it receives by stream. The
/// frames are those of RFC 9113; headers are sent without compression (RFC 7541, 6.2.2).
/// </summary>
public sealed class RawHttpTwo : IAsyncDisposable
{
    private const byte Data = 0, Headers = 1, Reset = 3, Settings = 4, Ping = 6, GoAway = 7, WindowUpdate = 8, Continuation = 9;
    private const byte EndStream = 1, Acknowledged = 1, EndHeaders = 4;
    private const int MostPayload = 16_384;

    private readonly TcpClient _client;
    private readonly NetworkStream _network;
    private readonly SemaphoreSlim _writing = new(1);
    private readonly ConcurrentDictionary<int, Received> _streams = new();
    private readonly Task _reading;
    private int _next = 1, _initialWindow = 65_535;
    private long _window = 65_535; // bytes of data that the server still accepts on the connection
    private volatile TaskCompletionSource _changed = New();

    private RawHttpTwo(TcpClient client)
    {
        (_client, _network) = (client, client.GetStream());
        _reading = ReadAsync();
    }

    /// <summary>Whether the server has closed the connection or announced that it will.</summary>
    public bool IsClosed { get; private set; }

    /// <param name="window">
    /// Number of bytes of an answer that the server may send on each stream; 0 to accept none before <see cref="OpenWindowAsync"/>.
    /// </param>
    public static async Task<RawHttpTwo> ConnectAsync(int port, int window)
    {
        var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(IPAddress.Loopback, port);
        var connection = new RawHttpTwo(client);
        await connection._network.WriteAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray());
        var settings = new byte[12];
        BinaryPrimitives.WriteUInt16BigEndian(settings, 1); // no table of headers, so that trailers can be read without state
        BinaryPrimitives.WriteUInt16BigEndian(settings.AsSpan(6), 4);
        BinaryPrimitives.WriteInt32BigEndian(settings.AsSpan(8), window);
        await connection.SendAsync(Settings, 0, 0, settings);
        await connection.OpenWindowAsync(0, int.MaxValue - 65_535);
        return connection;
    }

    /// <summary>Begins a call and returns its stream.</summary>
    /// <param name="path">For example <c>/flamingo.v1.Flamingo/Generate</c>.</param>
    public async Task<int> OpenAsync(string path, params (string Name, string Value)[] headers)
    {
        var stream = Interlocked.Add(ref _next, 2) - 2;
        _streams[stream] = new Received { Window = _initialWindow };
        using var block = new MemoryStream();
        foreach (var (name, value) in ((string, string)[])[
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "127.0.0.1"),
            ("content-type", "application/grpc"), ("te", "trailers"), .. headers])
        {
            block.WriteByte(0);
            WriteText(block, name);
            WriteText(block, value);
        }

        var bytes = block.ToArray();
        await _writing.WaitAsync();
        try
        {
            for (var sent = 0; sent < bytes.Length; sent += MostPayload)
            {
                var part = bytes.AsMemory(sent, Math.Min(MostPayload, bytes.Length - sent));
                var last = sent + part.Length == bytes.Length;
                await WriteAsync(sent == 0 ? Headers : Continuation, last ? EndHeaders : (byte)0, stream, part);
            }
        }
        finally
        {
            _writing.Release();
        }

        return stream;
    }

    /// <summary>Sends a message of gRPC, as far as the server's windows allow, and waits for them to open.</summary>
    /// <param name="announced">Length that the message announces, if it is not the real one.</param>
    public async Task SendMessageAsync(
        int stream, ReadOnlyMemory<byte> message, bool compressed = false, bool end = true, int? announced = null,
        CancellationToken cancellation = default)
    {
        var prefix = new byte[5];
        prefix[0] = compressed ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt32BigEndian(prefix.AsSpan(1), announced ?? message.Length);
        await SendDataAsync(stream, prefix, end && message.IsEmpty, cancellation);
        await SendDataAsync(stream, message, end, cancellation);
    }

    /// <summary>Lets the server send more bytes on a stream; on the whole connection for stream 0.</summary>
    public Task OpenWindowAsync(int stream, int bytes)
    {
        var payload = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(payload, bytes);
        return SendAsync(WindowUpdate, 0, stream, payload);
    }

    /// <summary>Cancels a call.</summary>
    public Task ResetAsync(int stream) => SendAsync(Reset, 0, stream, new byte[] { 0, 0, 0, 8 });

    /// <summary>Waits until a call has ended.</summary>
    /// <returns>The value of grpc-status; null if the stream was reset or the connection closed.</returns>
    public async Task<string?> StatusAsync(int stream, CancellationToken cancellation)
    {
        while (true)
        {
            var changed = _changed.Task;
            var received = _streams[stream];
            if (received.HasEnded || IsClosed) return received.Header("grpc-status");
            await changed.WaitAsync(cancellation);
        }
    }

    /// <summary>A header or trailer of a call that has ended.</summary>
    public string? HeaderOf(int stream, string name) => _streams[stream].Header(name);

    /// <summary>Number of bytes of data that a call has received.</summary>
    public long BytesOf(int stream) => Interlocked.Read(ref _streams[stream].Bytes);

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _reading;
        _writing.Dispose();
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static void WriteText(MemoryStream block, string text)
    {
        var bytes = Encoding.Latin1.GetBytes(text);
        var rest = bytes.Length;
        block.WriteByte((byte)Math.Min(rest, 127));
        if (rest >= 127)
        {
            for (rest -= 127; rest >= 128; rest /= 128) block.WriteByte((byte)((rest % 128) | 128));
            block.WriteByte((byte)rest);
        }

        block.Write(bytes);
    }

    private async Task SendDataAsync(int stream, ReadOnlyMemory<byte> bytes, bool end, CancellationToken cancellation)
    {
        for (var sent = 0; sent < bytes.Length;)
        {
            var changed = _changed.Task;
            var received = _streams[stream];
            if (received.HasEnded || IsClosed) return;
            int most;
            // Several calls may send at once, and a server closes a connection that sends more than its window.
            lock (_streams)
            {
                most = (int)Math.Min(Math.Min(MostPayload, bytes.Length - sent), Math.Min(Interlocked.Read(ref _window), received.Window));
                if (most > 0)
                {
                    Interlocked.Add(ref _window, -most);
                    Interlocked.Add(ref received.Window, -most);
                }
            }

            if (most <= 0)
            {
                await changed.WaitAsync(cancellation);
                continue;
            }

            await SendAsync(Data, end && sent + most == bytes.Length ? EndStream : (byte)0, stream, bytes.Slice(sent, most));
            sent += most;
        }
    }

    private async Task SendAsync(byte type, byte flags, int stream, ReadOnlyMemory<byte> payload)
    {
        await _writing.WaitAsync();
        try
        {
            await WriteAsync(type, flags, stream, payload);
        }
        catch (IOException)
        {
            IsClosed = true;
        }
        finally
        {
            _writing.Release();
        }
    }

    private async Task WriteAsync(byte type, byte flags, int stream, ReadOnlyMemory<byte> payload)
    {
        var frame = new byte[9 + payload.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, payload.Length << 8);
        (frame[3], frame[4]) = (type, flags);
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame.AsMemory(9));
        await _network.WriteAsync(frame);
    }

    private async Task ReadAsync()
    {
        try
        {
            var head = new byte[9];
            while (true)
            {
                await _network.ReadExactlyAsync(head);
                var payload = new byte[BinaryPrimitives.ReadInt32BigEndian(head) >> 8 & 0xff_ffff];
                await _network.ReadExactlyAsync(payload);
                await TakeAsync(head[3], head[4], BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(5)) & int.MaxValue, payload);
                Interlocked.Exchange(ref _changed, New()).TrySetResult();
            }
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException)
        {
            IsClosed = true;
            _changed.TrySetResult();
        }
    }

    private async Task TakeAsync(byte type, byte flags, int stream, byte[] payload)
    {
        var received = _streams.GetValueOrDefault(stream);
        switch (type)
        {
            case Data or Headers or Continuation when received is not null:
                if (type == Data) Interlocked.Add(ref received.Bytes, payload.Length);
                else lock (received.Block) received.Block.Write(payload);
                if (type != Continuation && (flags & EndStream) != 0) received.HasEnded = true;
                break;
            case Reset when received is not null:
                received.HasEnded = true;
                break;
            case Settings when (flags & Acknowledged) == 0:
                for (var at = 0; at + 6 <= payload.Length; at += 6)
                {
                    if (BinaryPrimitives.ReadUInt16BigEndian(payload.AsSpan(at)) != 4) continue;
                    var window = BinaryPrimitives.ReadInt32BigEndian(payload.AsSpan(at + 2));
                    foreach (var open in _streams.Values) Interlocked.Add(ref open.Window, window - _initialWindow);
                    _initialWindow = window;
                }

                await SendAsync(Settings, Acknowledged, 0, default);
                break;
            case Ping when (flags & Acknowledged) == 0:
                await SendAsync(Ping, Acknowledged, 0, payload);
                break;
            case WindowUpdate:
                var more = BinaryPrimitives.ReadInt32BigEndian(payload) & int.MaxValue;
                if (stream == 0) Interlocked.Add(ref _window, more);
                else if (received is not null) Interlocked.Add(ref received.Window, more);
                break;
            case GoAway:
                IsClosed = true;
                break;
        }
    }

    private sealed class Received
    {
        public long Window, Bytes;

        public MemoryStream Block { get; } = new();

        public volatile bool HasEnded;

        // To a client without a table, Kestrel sends each name and each value as its length and its text.
        public string? Header(string name)
        {
            lock (Block)
            {
                var block = Encoding.Latin1.GetString(Block.ToArray());
                var at = block.LastIndexOf($"{(char)name.Length}{name}", StringComparison.Ordinal);
                var start = at + name.Length + 2;
                if (at < 0 || start > block.Length) return null;
                var length = (int)block[start - 1];
                for (var shift = 0; length == 127 && shift < 28; shift += 7)
                {
                    var more = block[start++];
                    length += (more & 127) << shift;
                    if (more < 128) break;
                }

                return start + length <= block.Length ? block.Substring(start, length) : null;
            }
        }
    }
}
