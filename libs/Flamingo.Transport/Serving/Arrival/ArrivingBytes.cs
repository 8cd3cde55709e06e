using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Flamingo.Abstractions;
using Flamingo.Wire;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>
/// How the bytes of one request arrive, whatever its protocol: from the connection, fast enough, and taken from the budget before they are
/// held. Disposing gives all bytes back.
/// </summary>
internal sealed class ArrivingBytes(HttpContext context, ByteBudget budget, TimeSpan timeout, TimeProvider time) : IDisposable
{
    /// <summary>Free bytes before the first piece, for the prefix of a gRPC message.</summary>
    public const int PrefixBytes = 5;

    private const int LargestPiece = 1 << 20;

    private readonly PipeReader _body = context.Request.BodyReader;
    private CancellationTokenSource? _stalled;
    private long _sinceTimeout; // bytes since the time was set
    private long _taken, _returnedWhenParsed;
    private SequencePosition? _unread; // start of what the last read gave, until it has been consumed

    /// <summary>
    /// The tenant to which these bytes are charged. It is read late, because a key may decide the tenant after this object was made. It is
    /// read once, because the bytes must be given back to the same tenant. A malformed name is refused later; until then the bytes are
    /// charged to the default tenant.
    /// </summary>
    public string Tenant
    {
        get
        {
            if (field is not null) return field;
            var name = context.Request.Headers[TenantHeader.Name].ToString();
            return field = TenantName.IsWellFormed(name) ? name : TenantName.Default;
        }
    }

    /// <summary>Whether a read was cancelled because the caller sends too slowly.</summary>
    public bool IsTooSlow => _stalled?.IsCancellationRequested == true;

    /// <summary>The message of the error for <see cref="IsTooSlow"/>.</summary>
    public string TooSlow =>
        $"The request arrives too slowly: each {ArrivalRules.BytesPerTimeout >> 10} KiB must arrive within {timeout.TotalSeconds:0.###} s. "
        + "Send it faster, or raise Requests:TransferTimeout.";

    public void Dispose()
    {
        StopClock();
        // The server reads the rest of the body to use the connection of HTTP/1.1 again, which it cannot during a read.
        if (_unread is { } position) AdvanceTo(position);
        budget.GiveBack(Tenant, Interlocked.Exchange(ref _taken, 0));
    }

    /// <summary>Reads until this many bytes are there or the body ends. A caller that sends too slowly is cut off.</summary>
    /// <exception cref="OperationCanceledException">The caller sends too slowly.</exception>
    public async ValueTask<ReadResult> FillAsync(int bytes)
    {
        while (true)
        {
            if (!_body.TryRead(out var read))
            {
                _stalled ??= new CancellationTokenSource(timeout, time);
                read = await _body.ReadAsync(_stalled.Token);
            }

            _unread = read.Buffer.Start;
            if (read.Buffer.Length >= bytes || read.IsCompleted) return read;
            AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    /// <summary>Ends the last read.</summary>
    public void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    /// <summary>Lets the caller be silent until the next read.</summary>
    public void StopClock()
    {
        _stalled?.Dispose();
        _stalled = null;
    }

    public void GiveBack(long bytes)
    {
        Interlocked.Add(ref _taken, -bytes);
        budget.GiveBack(Tenant, bytes);
    }

    /// <summary>Gives back all but one copy of the pieces, because they have been parsed.</summary>
    public void GiveBackParsed()
    {
        GiveBack(_returnedWhenParsed);
        _returnedWhenParsed = 0;
    }

    private void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        _unread = null;
        _body.AdvanceTo(consumed, examined);
    }

    private void Take(long bytes, bool small)
    {
        budget.Take(Tenant, bytes, _taken, small);
        Interlocked.Add(ref _taken, bytes);
    }

    private void CountArrived(int bytes)
    {
        _sinceTimeout += bytes;
        if (_sinceTimeout < ArrivalRules.BytesPerTimeout) return;
        _sinceTimeout = 0;
        _stalled?.CancelAfter(timeout);
    }

    /// <summary>The pieces of one message, in arrays that grow with what has arrived and not with what was announced.</summary>
    /// <param name="copies">How often the bytes are held at most until they have been parsed.</param>
    internal sealed class Pieces(ArrivingBytes request, int copies, bool isSmall)
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
            request.Take((long)copies * size, isSmall);
            Taken += (long)copies * size;
            request._returnedWhenParsed += (copies - 1L) * size;
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

        /// <param name="most">Most bytes that the pieces may have in the end.</param>
        public void Append(ReadOnlySequence<byte> bytes, long most)
        {
            while (!bytes.IsEmpty)
            {
                var room = Room(most - Length);
                var part = bytes.Slice(0, Math.Min(room.Length, bytes.Length));
                part.CopyTo(room.Span);
                Fill((int)part.Length);
                bytes = bytes.Slice(part.End);
            }
        }

        /// <returns>The message with the prefix of one that is not compressed.</returns>
        public ReadOnlySequence<byte> ToMessage()
        {
            if (_first is null) return new ReadOnlySequence<byte>(new byte[PrefixBytes]);
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
