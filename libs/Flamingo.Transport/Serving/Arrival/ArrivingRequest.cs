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
    private const int PrefixBytes = ArrivingBytes.PrefixBytes;

    private static readonly byte[] Nothing = new byte[PrefixBytes]; // a message without content

    private readonly HttpContext _context;
    private readonly PipeReader _body;
    private readonly ByteBudget _budget;
    private readonly ArrivingBytes _bytes;
    private ReadOnlySequence<byte> _message; // one message with its prefix, or empty
    private bool _begun, _ended;

    public ArrivingRequest(HttpContext context, ByteBudget budget, RequestOptions options, TimeProvider time)
    {
        (_context, _body, _budget) = (context, context.Request.BodyReader, budget);
        _bytes = new ArrivingBytes(context, budget, options.TransferTimeout, time);
    }

    /// <summary>Why the call is refused; null if it is not.</summary>
    public RpcException? Refusal { get; private set; }

    PipeReader IRequestBodyPipeFeature.Reader => this;

    /// <returns>The request of a call; null if the call did not come through the server.</returns>
    public static ArrivingRequest? Of(HttpContext? context) => context?.Features.Get<IRequestBodyPipeFeature>() as ArrivingRequest;

    public void Refuse(RpcException refusal) => Refusal ??= refusal;

    /// <summary>Gives all bytes back. It is called when the handler of the call has ended.</summary>
    public void Dispose()
    {
        _message = default;
        _bytes.Dispose();
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
            if (!(await _bytes.FillAsync(1)).Buffer.IsEmpty) throw Malformed("More bytes follow the message.");
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
        catch (OperationCanceledException) when (_bytes.IsTooSlow)
        {
            End(new FlamingoException(FlamingoErrorKind.DeadlineExceeded, _bytes.TooSlow).ToRpcException());
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
        _bytes.GiveBackParsed();
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
        var bytes = ArrivalRules.MetadataBytes(_context);
        if (bytes > ArrivalRules.MostMetadataBytes)
            throw new FlamingoException(
                FlamingoErrorKind.Overloaded,
                $"The call has {bytes} bytes of metadata, which are more than {ArrivalRules.MostMetadataBytes}. Send less metadata.");
    }

    /// <summary>Receives one message into <see cref="_message"/>.</summary>
    /// <returns>False if the body ended before it.</returns>
    private async Task<bool> ReceiveAsync(RequestLimit limit, CancellationToken cancellation)
    {
        if (limit.StreamsRequests)
        {
            // Between the messages of a stream the caller may be silent as long as it likes.
            _bytes.StopClock();
            var first = await _body.ReadAsync(cancellation);
            _body.AdvanceTo(first.Buffer.Start);
        }

        var read = await _bytes.FillAsync(PrefixBytes);
        if (read.Buffer.IsEmpty) return false;
        if (read.Buffer.Length < PrefixBytes) throw Malformed("The body ends inside the prefix of a message.");
        var (compression, length) = Prefix(read.Buffer);
        _bytes.AdvanceTo(read.Buffer.GetPosition(PrefixBytes));
        if (compression > 1) throw Malformed($"The first byte of a message is {compression}, and not 0 or 1.");
        var most = limit.Bytes(_budget);
        if (length > most) throw TooLarge(limit, most);
        if (compression == 0)
        {
            var pieces = new ArrivingBytes.Pieces(_bytes, copies: 2, isSmall: length <= ByteBudget.SmallBytes);
            _budget.CheckFree(_bytes.Tenant, 2 * length, length <= ByteBudget.SmallBytes);
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
        var (packed, message) = (new ArrivingBytes.Pieces(_bytes, 1, small), new ArrivingBytes.Pieces(_bytes, 2, small));
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
        _bytes.GiveBack(packed.Taken);
    }

    private async Task CopyAsync(int length, ArrivingBytes.Pieces pieces)
    {
        while (pieces.Length < length)
        {
            var read = await _bytes.FillAsync(1);
            if (read.Buffer.IsEmpty) throw Malformed("The body ends inside a message.");
            var rest = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, length - pieces.Length));
            pieces.Append(rest, length);
            _bytes.AdvanceTo(rest.End);
        }
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
}
