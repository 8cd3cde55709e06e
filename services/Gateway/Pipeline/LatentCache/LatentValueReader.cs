using System.Buffers;

namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// Takes a value as it comes from Redis, straight into the array that memory and wire will read: the header says how large
/// that is, before anything of it is allocated. What is not to be trusted goes into a small array that nobody reads.
/// </summary>
public sealed class LatentValueReader(string key, LatentFit fits) : IBufferWriter<byte>
{
    private readonly byte[] _header = new byte[LatentValue.HeaderBytes];
    private byte[]? _elements; // once the header has been read and found good
    private byte[]? _refused;

    /// <summary>Bytes that came.</summary>
    public long Written { get; private set; }

    /// <returns>Null for anything that does not read back exactly.</returns>
    public LatentEntry? Entry() => _elements is not null && Written == LatentValue.HeaderBytes + _elements.Length ? LatentValue.Read(_header, _elements) : null;

    public void Advance(int count)
    {
        Written += count;
        if (Written == LatentValue.HeaderBytes && LatentValue.ElementBytes(key, _header, fits) is { } bytes) _elements = GC.AllocateUninitializedArray<byte>(bytes);
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        var left = Written < LatentValue.HeaderBytes ? _header.AsMemory((int)Written)
            : _elements is not null && Written - LatentValue.HeaderBytes < _elements.Length ? _elements.AsMemory((int)Written - LatentValue.HeaderBytes)
            : default;
        if (left.Length >= Math.Max(sizeHint, 1)) return left; // which is what RedisCache asks for: any size
        return _refused?.Length >= sizeHint ? _refused : _refused = new byte[Math.Max(sizeHint, 4096)];
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;
}
