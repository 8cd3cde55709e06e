using System.Buffers.Binary;

namespace Flamingo.Import.Tokenizers;

/// <summary>
/// Reads the wire format of protocol buffers field by field. This project depends on the base class library only, so it does not use
/// Google.Protobuf.
/// </summary>
internal static class ProtobufFields
{
    /// <summary>
    /// Lists the number and the value of every field in order. The value of a length-delimited or fixed field is its bytes; that of a
    /// varint is eight little-endian bytes.
    /// </summary>
    /// <exception cref="FormatException">The message is truncated or is not a protocol buffer.</exception>
    public static IEnumerable<(int Field, ReadOnlyMemory<byte> Value)> Read(ReadOnlyMemory<byte> message)
    {
        for (var at = 0; at < message.Length;)
        {
            var tag = Varint(message.Span, ref at);
            if (tag >> 3 is 0 or > int.MaxValue) throw new FormatException("a field has no number");
            if ((tag & 7) == 0)
            {
                var number = new byte[8];
                BinaryPrimitives.WriteUInt64LittleEndian(number, Varint(message.Span, ref at));
                yield return ((int)(tag >> 3), number);
                continue;
            }

            var length = (tag & 7) switch
            {
                1 => 8ul,
                2 => Varint(message.Span, ref at),
                5 => 4ul,
                _ => throw new FormatException($"wire type {tag & 7}"),
            };
            if (length > (ulong)(message.Length - at)) throw new FormatException("it ends in the middle of a field");
            yield return ((int)(tag >> 3), message.Slice(at, (int)length));
            at += (int)length;
        }
    }

    public static ulong Integer(ReadOnlyMemory<byte> value) =>
        value.Length == 8 ? BinaryPrimitives.ReadUInt64LittleEndian(value.Span)
            : throw new FormatException("a field that should be a number is not one");

    private static ulong Varint(ReadOnlySpan<byte> bytes, ref int at)
    {
        var value = 0ul;
        for (var shift = 0; shift < 64; shift += 7)
        {
            if (at >= bytes.Length) throw new FormatException("it ends in the middle of a number");
            value |= (ulong)(bytes[at] & 0x7f) << shift;
            if (bytes[at++] < 0x80) return value;
        }

        throw new FormatException("a number is too long");
    }
}
