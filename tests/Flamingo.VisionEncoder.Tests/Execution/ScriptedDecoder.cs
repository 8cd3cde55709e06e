using System.Threading.Channels;
using Flamingo.VisionEncoder.Decoding;

namespace Flamingo.VisionEncoder.Tests.Execution;

/// <summary>
/// A decoder of pictures of one byte, whose decodings end when the test lets them. It names a picture by its byte.
/// </summary>
internal sealed class ScriptedDecoder : IPictureDecoder
{
    private readonly Channel<byte> _begun = Channel.CreateUnbounded<byte>();
    private readonly SemaphoreSlim _ends = new(0);

    public string Name => "scripted";

    /// <summary>Number of decodings that have begun.</summary>
    public int Decodes;

    /// <summary>Waits until a decoding begins, and returns its picture.</summary>
    public async Task<byte> BegunAsync(CancellationToken cancellation) => await _begun.Reader.ReadAsync(cancellation);

    /// <summary>Lets decodings end, those that run or the next ones.</summary>
    public void End(int decodings = 1) => _ends.Release(decodings);

    /// <summary>The byte from which on a picture's header says that it is large.</summary>
    public const byte Large = 240;

    public (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file) => file.Span[0] >= Large ? (6000, 6000) : (8, 8);

    public int CountFrames(ReadOnlyMemory<byte> file) => 1;

    public DecodedPicture? Decode(ReadOnlyMemory<byte> file)
    {
        Interlocked.Increment(ref Decodes);
        _begun.Writer.TryWrite(file.Span[0]);
        _ends.Wait();
        return new DecodedPicture(8, 8, [.. Enumerable.Repeat(file.Span[0], 8 * 8 * 4)]);
    }

    public IEnumerable<DecodedPicture?> DecodeFrames(ReadOnlyMemory<byte> file, IReadOnlyList<int> frames) =>
        throw new NotSupportedException();
}
