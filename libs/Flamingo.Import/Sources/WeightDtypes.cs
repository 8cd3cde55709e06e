using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

/// <summary>Checks and converts the three dtypes of weights.</summary>
public static class WeightDtypes
{
    /// <summary>The dtypes, as safetensors spells them.</summary>
    public static IReadOnlyList<string> All { get; } = ["F32", "F16", "BF16"];

    /// <summary>Bytes of one element.</summary>
    public static int Size(string dtype) => SafetensorsFile.ElementSize(dtype);

    /// <summary>Whether no element is infinite or NaN.</summary>
    public static bool IsFinite(byte[] bytes, string dtype)
    {
        switch (dtype)
        {
            case "F32":
                foreach (var value in MemoryMarshal.Cast<byte, float>(bytes))
                    if (!float.IsFinite(value)) return false;
                return true;
            case "F16":
                foreach (var value in MemoryMarshal.Cast<byte, Half>(bytes))
                    if (!Half.IsFinite(value)) return false;
                return true;
            default:
                foreach (var value in MemoryMarshal.Cast<byte, ushort>(bytes))
                    if ((value & 0x7f80) == 0x7f80) return false;
                return true;
        }
    }

    /// <summary>Returns elements in another dtype, rounded to the nearest value. Equal dtypes return the same array.</summary>
    public static byte[] Convert(byte[] bytes, string from, string to)
    {
        if (from == to) return bytes;
        var size = Size(from);
        var result = new byte[bytes.Length / size * Size(to)];
        for (var index = 0; index < bytes.Length / size; index++)
        {
            var value = from switch
            {
                "F32" => BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(index * 4)),
                "F16" => (float)BinaryPrimitives.ReadHalfLittleEndian(bytes.AsSpan(index * 2)),
                _ => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(index * 2)) << 16),
            };
            if (to == "F32") BinaryPrimitives.WriteSingleLittleEndian(result.AsSpan(index * 4), value);
            else if (to == "F16") BinaryPrimitives.WriteHalfLittleEndian(result.AsSpan(index * 2), (Half)value);
            else BinaryPrimitives.WriteUInt16LittleEndian(result.AsSpan(index * 2), BFloat16(value));
        }

        return result;
    }

    // Rounds to the nearest value and ties to even, as torch does.
    private static ushort BFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
}
