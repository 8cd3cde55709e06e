using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Redis;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// The binary form of support sets in Redis: the magic "FSET", a byte for the version, a byte for the kind, the length of the body
/// (int32), the body, and the seal of all these and of the name under which the value is stored. In the body, numbers are little-endian,
/// and texts (UTF-8) and files are preceded by their length (int32). Older gateways wrote JSON without a seal, which is read if seals
/// have no key. Reading returns null for everything else.
/// </summary>
internal static class SupportSetFormat
{
    /// <summary>Largest version that is accepted from Redis, so that the next one is always larger.</summary>
    public const long LargestVersion = 1L << 62;

    private const uint Magic = 0x54455346;
    private const byte Version = 1;
    private const int HeaderBytes = 10;

    private enum Kind : byte
    {
        Summary = 1,
        Examples = 2,
        Picture = 3,
    }

    /// <summary>Writes a set without its shots.</summary>
    public static byte[] WriteSummary(StoredSet set, IntegritySeal seal, string name) => Write(Kind.Summary, seal, name, body =>
    {
        Write(body, set.Name);
        body.Write(set.Version);
        Write(body, set.Revision);
        body.Write(set.Created.UtcTicks);
        body.Write(set.Expires?.UtcTicks ?? -1);
        Write(body, set.EmbeddedBy);
        body.Write(set.Count);
    });

    public static StoredSet? ReadSummary(ReadOnlyMemory<byte> value, IntegritySeal seal, string name) =>
        Read<StoredSet>(Kind.Summary, value, seal, name, (ref Body body) =>
        {
            var (set, version, revision) = (body.Text(), body.Int64(), body.Text());
            var (created, expires) = (body.Int64(), body.Int64());
            return new StoredSet(
                set, version, revision, new DateTimeOffset(created, TimeSpan.Zero),
                expires < 0 ? null : new DateTimeOffset(expires, TimeSpan.Zero), body.Text(), body.Int32(), []);
        }) is { Version: > 0 and <= LargestVersion, Name: not null, Revision.Length: > 0, EmbeddedBy: not null, Count: >= 0 } set ? set
            : null;

    public static byte[] WriteExamples(IReadOnlyList<StoredShot> shots, IntegritySeal seal, string name) =>
        Write(Kind.Examples, seal, name, body =>
        {
            body.Write(shots.Count);
            foreach (var shot in shots)
            {
                Write(body, shot.PictureId);
                Write(body, shot.Text);
                Write(body, shot.Embedding.Span);
            }
        });

    public static IReadOnlyList<StoredShot>? ReadExamples(ReadOnlyMemory<byte> value, IntegritySeal seal, string name) =>
        Read<List<StoredShot>>(Kind.Examples, value, seal, name, (ref Body body) =>
        {
            var (shots, embeddings) = (new List<StoredShot>(), new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal));
            for (var left = body.Int32(); left > 0; left--)
            {
                var (id, text, embedding) = (body.Text(), body.Text(), body.Bytes());
                // Examples with the same picture share its embedding.
                if (!embeddings.TryGetValue(id, out var known) || !known.Span.SequenceEqual(embedding.Span))
                    known = embeddings[id] = embedding.ToArray();
                shots.Add(new StoredShot(id, text, known));
            }

            return shots;
        }) is { } shots && shots.TrueForAll(shot => shot is { PictureId: not null, Text: not null }) ? shots : null;

    public static byte[] WritePicture(VisualInput picture, IntegritySeal seal, string name) => Write(Kind.Picture, seal, name, body =>
    {
        body.Write(picture.MaxFrames);
        body.Write(picture.Files.Count);
        foreach (var file in picture.Files) Write(body, file.Span);
    });

    public static VisualInput? ReadPicture(ReadOnlyMemory<byte> value, IntegritySeal seal, string name) =>
        Read<VisualInput>(Kind.Picture, value, seal, name, (ref Body body) =>
        {
            var (frames, files) = (body.Int32(), new List<ReadOnlyMemory<byte>>());
            for (var left = body.Int32(); left > 0; left--) files.Add(body.Bytes());
            return new VisualInput(files, frames);
        }) is { Files.Count: > 0 } picture ? picture : null;

    private delegate T BodyReader<out T>(ref Body body);

    private static T? Read<T>(Kind kind, ReadOnlyMemory<byte> value, IntegritySeal seal, string name, BodyReader<T> read)
        where T : class
    {
        try
        {
            if (value.Length > 0 && value.Span[0] is (byte)'{' or (byte)'[')
                return seal.IsKeyed ? null : JsonSerializer.Deserialize<T>(value.Span);
            var end = value.Length - IntegritySeal.SealBytes;
            if (end < HeaderBytes) return null;
            var header = value.Span[..HeaderBytes];
            if (BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic || header[4] != Version || header[5] != (byte)kind
                || BinaryPrimitives.ReadInt32LittleEndian(header[6..]) != end - HeaderBytes
                || !seal.Fits(value.Span[end..], value.Span[..end], name)) return null;
            var body = new Body(value[HeaderBytes..end]);
            var result = read(ref body);
            return body.IsAtEnd ? result : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidDataException or ArgumentException)
        {
            return null; // ArgumentException: a time that does not exist, or bytes that are no UTF-8
        }
    }

    private static byte[] Write(Kind kind, IntegritySeal seal, string name, Action<BinaryWriter> write)
    {
        using var stream = new MemoryStream();
        using var body = new BinaryWriter(stream, Encoding.UTF8);
        body.Write(Magic);
        body.Write(Version);
        body.Write((byte)kind);
        body.Write(0);
        write(body);
        body.Seek(HeaderBytes - sizeof(int), SeekOrigin.Begin);
        body.Write((int)stream.Length - HeaderBytes);
        body.Seek(0, SeekOrigin.End);
        body.Write(seal.Of(stream.GetBuffer().AsSpan(0, (int)stream.Length), name));
        return stream.ToArray();
    }

    private static void Write(BinaryWriter body, string text) => Write(body, Encoding.UTF8.GetBytes(text));

    private static void Write(BinaryWriter body, ReadOnlySpan<byte> bytes)
    {
        body.Write(bytes.Length);
        body.Write(bytes);
    }

    private ref struct Body(ReadOnlyMemory<byte> left)
    {
        private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);
        private ReadOnlyMemory<byte> _left = left;

        public readonly bool IsAtEnd => _left.IsEmpty;

        public int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Take(sizeof(int)).Span);

        public long Int64() => BinaryPrimitives.ReadInt64LittleEndian(Take(sizeof(long)).Span);

        public ReadOnlyMemory<byte> Bytes() => Take(Int32());

        public string Text() => Strict.GetString(Bytes().Span);

        private ReadOnlyMemory<byte> Take(int bytes)
        {
            if (bytes < 0 || bytes > _left.Length) throw new InvalidDataException("The value ends early.");
            var taken = _left[..bytes];
            _left = _left[bytes..];
            return taken;
        }
    }
}
