using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Pipelines;
using Flamingo.Abstractions;
using Flamingo.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>
/// The body of one call, from which gRPC reads whole messages. It checks each message's size before the message is held, takes its bytes
/// from the budget as they arrive, and decompresses up to the method's limit. A refused call gets an empty message, and
/// <see cref="Refusal"/> says why, so that the interceptor answers with the status before the service sees the message. gRPC itself would
/// log each of these failures with a stack trace, and would decompress without a limit.
/// </summary>
internal sealed class ArrivingRequest : PipeReader, IRequestBodyPipeFeature, IDisposable
{
    /// <summary>Most bytes of a call's metadata, names and values together. Kestrel receives more, see StageEndpoints.</summary>
    internal const int MostMetadataBytes = 32 << 10;

    /// <summary>Bytes that must be transferred within <see cref="RequestOptions.TransferTimeout"/>.</summary>
    internal const int BytesPerTimeout = 256 << 10;

    private const int PrefixBytes = 5;
    private const int LargestPiece = 1 << 20;

    private static readonly byte[] Nothing = new byte[PrefixBytes]; // a message without content

    private readonly HttpContext _context;
    private readonly PipeReader _body;
    private readonly ByteBudget _budget;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _time;
    private CancellationTokenSource? _stalled;
    private long _sinceTimeout; // bytes since the time was set
    private ReadOnlySequence<byte> _message; // one message with its prefix, or empty
    private long _taken, _returnedWhenParsed;
    private bool _begun, _ended;

    public ArrivingRequest(HttpContext context, ByteBudget budget, RequestOptions options, TimeProvider time)
    {
        (_context, _body, _budget, _timeout, _time) = (context, context.Request.BodyReader, budget, options.TransferTimeout, time);
    }

    /// <summary>Why the call is refused; null if it is not.</summary>
    public RpcException? Refusal { get; private set; }

    PipeReader IRequestBodyPipeFeature.Reader => this;

    // It is read late, because a key decides the tenant after this object was created, and once, because bytes go back whence they came.
    private string Tenant
    {
        get
        {
            if (field is not null) return field;
            var tenant = _context.Request.Headers[TenantHeader.Name].ToString();
            return field = TenantName.IsWellFormed(tenant) ? tenant : TenantName.Default;
        }
    }

    /// <returns>The request of a call; null if the call did not come through the server.</returns>
    public static ArrivingRequest? Of(HttpContext? context) => context?.Features.Get<IRequestBodyPipeFeature>() as ArrivingRequest;

    public void Refuse(RpcException refusal) => Refusal ??= refusal;

    /// <summary>Gives all bytes back. It is called when the handler of the call has ended.</summary>
    public void Dispose()
    {
        _stalled?.Dispose();
        _message = default;
        _budget.GiveBack(Tenant, Interlocked.Exchange(ref _taken, 0));
    }

    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        if (!_message.IsEmpty || _ended) return Read();
        try
        {
            var limit = _context.GetEndpoint()?.Metadata.GetMetadata<RequestLimit>()
                ?? throw new InvalidOperationException($"{_context.Request.Path} was not bound by {nameof(BoundMethods<object>)}.");
            if (!_begun) CheckMetadata();
            var any = await ReceiveAsync(limit, cancellationToken);
            if (!any && !limit.StreamsRequests) throw Malformed("The call has no message.");
            _ended = !any;
            if (limit.StreamsRequests) return Read();
            if (!(await FillAsync(1)).Buffer.IsEmpty) throw Malformed("More bytes follow the message.");
            _ended = true;
        }
        catch (FlamingoException refusal)
        {
            End(refusal.ToRpcException());
        }
        catch (RpcException refusal)
        {
            End(refusal);
        }
        catch (OperationCanceledException) when (_stalled?.IsCancellationRequested == true)
        {
            End(new FlamingoException(
                FlamingoErrorKind.DeadlineExceeded,
                $"The request arrives too slowly: each {BytesPerTimeout >> 10} KiB must arrive within {_timeout.TotalSeconds:0.###} s. "
                + "Send it faster, or raise Requests:TransferTimeout.").ToRpcException());
        }
        catch (Exception exception) when (
            exception is IOException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            End(new FlamingoException(FlamingoErrorKind.Cancelled, "The caller ended the call before its request was complete.")
                .ToRpcException());
        }

        return Read();
    }

    public override bool TryRead(out ReadResult result)
    {
        result = Read();
        return !_message.IsEmpty || _ended;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        _message = _message.Slice(consumed);
        if (!_message.IsEmpty) return;
        _message = default;
        GiveBack(_returnedWhenParsed);
        _returnedWhenParsed = 0;
    }

    public override void CancelPendingRead() => _body.CancelPendingRead();

    public override void Complete(Exception? exception = null)
    {
    }

    private ReadResult Read() => new(_message, isCanceled: false, isCompleted: _ended);

    private void End(RpcException refusal)
    {
        Refuse(refusal);
        (_message, _ended) = (new ReadOnlySequence<byte>(Nothing), true);
    }

    private void CheckMetadata()
    {
        _begun = true;
        var bytes = 0L;
        foreach (var (name, values) in _context.Request.Headers)
        {
            bytes += name.Length;
            for (var index = 0; index < values.Count; index++) bytes += values[index]?.Length ?? 0;
        }

        if (bytes > MostMetadataBytes)
            throw new FlamingoException(
                FlamingoErrorKind.Overloaded,
                $"The call has {bytes} bytes of metadata, which are more than {MostMetadataBytes}. Send less metadata.");
    }

    /// <summary>Receives one message into <see cref="_message"/>.</summary>
    /// <returns>False if the body ended before it.</returns>
    private async Task<bool> ReceiveAsync(RequestLimit limit, CancellationToken cancellation)
    {
        if (limit.StreamsRequests)
        {
            // Between the messages of a stream the caller may be silent as long as it likes.
            _stalled?.Dispose();
            _stalled = null;
            var first = await _body.ReadAsync(cancellation);
            _body.AdvanceTo(first.Buffer.Start);
        }

        var read = await FillAsync(PrefixBytes);
        if (read.Buffer.IsEmpty) return false;
        if (read.Buffer.Length < PrefixBytes) throw Malformed("The body ends inside the prefix of a message.");
        var (compression, length) = Prefix(read.Buffer);
        _body.AdvanceTo(read.Buffer.GetPosition(PrefixBytes));
        if (compression > 1) throw Malformed($"The first byte of a message is {compression}, and not 0 or 1.");
        var most = limit.Bytes(_budget);
        if (length > most) throw TooLarge(limit, most);
        if (compression == 0)
        {
            var pieces = new Pieces(this, isParsed: true, isSmall: length <= ByteBudget.SmallBytes);
            _budget.CheckFree(Tenant, 2 * length, length <= ByteBudget.SmallBytes);
            await CopyAsync((int)length, pieces);
            _message = pieces.ToMessage();
            return true;
        }

        await DecompressAsync((int)length, most, limit);
        return true;
    }

    private async Task DecompressAsync(int length, int most, RequestLimit limit)
    {
        var encoding = _context.Request.Headers["grpc-encoding"].ToString();
        if (encoding is not ("gzip" or "deflate"))
        {
            _context.Response.Headers["grpc-accept-encoding"] = "identity,gzip,deflate";
            throw encoding is "" or "identity"
                ? Malformed($"The message is marked as compressed, but grpc-encoding is '{encoding}'.")
                : new RpcException(new Status(
                    StatusCode.Unimplemented, $"The grpc-encoding '{encoding}' is not supported. Send identity, gzip or deflate."));
        }

        var small = limit.Size == RequestLimit.Content.Small;
        var (packed, message) = (new Pieces(this, isParsed: false, small), new Pieces(this, isParsed: true, small));
        await CopyAsync(length, packed);
        await using var source = PipeReader.Create(packed.ToMessage().Slice(PrefixBytes)).AsStream();
        await using Stream unpacked = encoding == "gzip"
            ? new GZipStream(source, CompressionMode.Decompress) : new ZLibStream(source, CompressionMode.Decompress);
        try
        {
            while (true)
            {
                var room = message.Room(most + 1L - message.Length);
                var count = await unpacked.ReadAsync(room);
                if (count == 0) break;
                message.Fill(count);
                if (message.Length > most) throw TooLarge(limit, most);
            }
        }
        catch (InvalidDataException)
        {
            throw Malformed($"The message is not valid {encoding} data.");
        }

        _message = message.ToMessage();
        GiveBack(packed.Taken);
    }

    private async Task CopyAsync(int length, Pieces pieces)
    {
        while (pieces.Length < length)
        {
            var read = await FillAsync(1);
            if (read.Buffer.IsEmpty) throw Malformed("The body ends inside a message.");
            var rest = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, length - pieces.Length));
            var position = rest.End;
            while (!rest.IsEmpty)
            {
                var room = pieces.Room(length - pieces.Length);
                var part = rest.Slice(0, Math.Min(room.Length, rest.Length));
                part.CopyTo(room.Span);
                pieces.Fill((int)part.Length);
                rest = rest.Slice(part.End);
            }

            _body.AdvanceTo(position);
        }
    }

    /// <summary>Reads until this many bytes are there or the body ends. A caller that sends too slowly is cut off.</summary>
    private async ValueTask<ReadResult> FillAsync(int bytes)
    {
        while (true)
        {
            if (!_body.TryRead(out var read))
            {
                if (_stalled is null) _stalled = new CancellationTokenSource(_timeout, _time);
                read = await _body.ReadAsync(_stalled.Token);
            }

            if (read.Buffer.Length >= bytes || read.IsCompleted) return read;
            _body.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    private void Take(long bytes, bool small)
    {
        _budget.Take(Tenant, bytes, _taken, small);
        Interlocked.Add(ref _taken, bytes);
    }

    private void GiveBack(long bytes)
    {
        Interlocked.Add(ref _taken, -bytes);
        _budget.GiveBack(Tenant, bytes);
    }

    private void CountArrived(int bytes)
    {
        _sinceTimeout += bytes;
        if (_sinceTimeout < BytesPerTimeout) return;
        _sinceTimeout = 0;
        _stalled?.CancelAfter(_timeout);
    }

    private static (byte Compression, long Length) Prefix(ReadOnlySequence<byte> buffer)
    {
        Span<byte> prefix = stackalloc byte[PrefixBytes];
        buffer.Slice(0, PrefixBytes).CopyTo(prefix);
        return (prefix[0], BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]));
    }

    private static FlamingoException Malformed(string problem) =>
        FlamingoException.Invalid("message", problem, "Send the call as gRPC frames it.");

    private static FlamingoException TooLarge(RequestLimit limit, int most) => new(
        FlamingoErrorKind.Overloaded, $"The message {limit.Message} is larger than {most} bytes. " + limit.Size switch
        {
            RequestLimit.Content.Data => "Send fewer pictures at once, for example several Encode calls and then the ids, or raise "
                + "Requests:MaxInFlightBytes.",
            RequestLimit.Content.Text => "Send shorter texts.",
            _ => "Leave out what this call does not need.",
        });

    /// <summary>The pieces of one message, in arrays that grow with what has arrived and not with what was announced.</summary>
    /// <param name="isParsed">Whether gRPC parses the bytes, which needs as much memory again.</param>
    private sealed class Pieces(ArrivingRequest request, bool isParsed, bool isSmall)
    {
        private Piece? _first, _last;
        private int _used; // bytes of the last piece

        /// <summary>Bytes without the prefix.</summary>
        public int Length { get; private set; }

        public long Taken { get; private set; }

        /// <summary>Memory for the next bytes.</summary>
        /// <param name="missing">Most bytes that may still come.</param>
        public Memory<byte> Room(long missing)
        {
            if (_last is not null && _used < _last.Bytes.Length) return _last.Bytes.AsMemory(_used);
            var size = (int)Math.Min(missing, Math.Clamp(Length, ByteBudget.SmallBytes, LargestPiece));
            var taken = isParsed ? 2L * size : size;
            request.Take(taken, isSmall);
            Taken += taken;
            if (isParsed) request._returnedWhenParsed += size;
            // The prefix stands before the first piece, so that a message that fits into one piece is parsed from one array.
            _used = _first is null ? PrefixBytes : 0;
            var piece = new Piece(GC.AllocateUninitializedArray<byte>(_used + size), _last);
            (_first, _last) = (_first ?? piece, piece);
            return piece.Bytes.AsMemory(_used);
        }

        public void Fill(int count)
        {
            (_used, Length) = (_used + count, Length + count);
            request.CountArrived(count);
        }

        /// <returns>The message with the prefix of one that is not compressed.</returns>
        public ReadOnlySequence<byte> ToMessage()
        {
            if (_first is null) return new ReadOnlySequence<byte>(Nothing);
            _first.Bytes[0] = 0;
            BinaryPrimitives.WriteInt32BigEndian(_first.Bytes.AsSpan(1), Length);
            return new ReadOnlySequence<byte>(_first, 0, _last!, _used);
        }
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(byte[] bytes, Piece? previous)
        {
            (Bytes, Memory) = (bytes, bytes);
            if (previous is null) return;
            previous.Next = this;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
        }

        public byte[] Bytes { get; }
    }
}
