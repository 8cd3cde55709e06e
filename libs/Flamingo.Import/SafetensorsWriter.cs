using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import;

/// <summary>Writes a safetensors file tensor by tensor, so that no more than one is in memory; converts dtypes and looks for non-finite values on the way.</summary>
public static class SafetensorsWriter
{
    /// <param name="dtype">F32, F16, BF16, or null to keep each tensor's own.</param>
    /// <param name="written">Told every tensor's name and source bytes.</param>
    /// <param name="faults">Non-finite tensors are added here.</param>
    public static void Write(string path, IReadOnlyDictionary<string, SourceTensor> tensors, string? dtype, Action<string, long> written, List<string> faults, CancellationToken cancellation)
    {
        var ordered = tensors.OrderBy(item => item.Key, StringComparer.Ordinal).ToList();
        var (header, offset) = (new SortedDictionary<string, object>(StringComparer.Ordinal), 0L);
        foreach (var (name, tensor) in ordered)
        {
            var target = dtype ?? tensor.Dtype;
            var length = tensor.Length / SafetensorsFile.ElementSize(tensor.Dtype) * SafetensorsFile.ElementSize(target);
            header[name] = new { dtype = target, shape = tensor.Shape, data_offsets = new[] { offset, offset + length } };
            offset += length;
        }

        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        var padding = (8 - (json.Length % 8)) % 8;
        using var stream = File.Create(path);
        Span<byte> prefix = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, json.Length + padding);
        stream.Write(prefix);
        stream.Write(json);
        stream.Write("        "u8[..padding]);
        foreach (var (name, tensor) in ordered)
        {
            cancellation.ThrowIfCancellationRequested();
            var bytes = tensor.Read();
            if (!IsFinite(bytes, tensor.Dtype)) faults.Add($"non-finite: {name} ({tensor.Name})");
            stream.Write(Convert(bytes, tensor.Dtype, dtype ?? tensor.Dtype));
            written(name, bytes.Length);
        }
    }

    private static bool IsFinite(byte[] bytes, string dtype)
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

    private static byte[] Convert(byte[] bytes, string from, string to)
    {
        if (from == to) return bytes;
        var size = SafetensorsFile.ElementSize(from);
        var result = new byte[bytes.Length / size * SafetensorsFile.ElementSize(to)];
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

    // round to nearest, ties to even, as torch does
    private static ushort BFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
}
