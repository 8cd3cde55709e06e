using System.Buffers.Binary;
using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import;

/// <summary>
/// Writes a safetensors file tensor by tensor, so that no more than one is in memory; converts dtypes and looks for non-finite values on
/// the way.
/// </summary>
public static class SafetensorsWriter
{
    private const long CollectedBytes = 256 << 20;

    // The format allows no gaps between tensors. Tensors whose size is a multiple of the alignment come first, so that all of them are
    // aligned.
    private const int Alignment = 64;

    /// <param name="dtype">F32, F16, BF16, or null to keep each tensor's own.</param>
    /// <param name="written">Told the name of every tensor and the bytes written for it.</param>
    /// <param name="faults">Non-finite tensors are added here.</param>
    public static void Write(
        string path, IReadOnlyDictionary<string, SourceTensor> tensors, string? dtype, Action<string, long> written, List<string> faults,
        CancellationToken cancellation)
    {
        long Length(SourceTensor tensor) =>
            tensor.Length / SafetensorsFile.ElementSize(tensor.Dtype) * SafetensorsFile.ElementSize(dtype ?? tensor.Dtype);
        var ordered = tensors.OrderBy(item => Length(item.Value) % Alignment == 0 ? 0 : 1)
            .ThenBy(item => item.Key, StringComparer.Ordinal)
            .ToList();
        var (header, offset) = (new SortedDictionary<string, object>(StringComparer.Ordinal), 0L);
        foreach (var (name, tensor) in ordered)
        {
            var length = Length(tensor);
            header[name] = new { dtype = dtype ?? tensor.Dtype, shape = tensor.Shape, data_offsets = new[] { offset, offset + length } };
            offset += length;
        }

        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        var padding = (Alignment - ((8 + json.Length) % Alignment)) % Alignment;
        using var stream = File.Create(path);
        Span<byte> prefix = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, json.Length + padding);
        stream.Write(prefix);
        stream.Write(json);
        stream.Write(Enumerable.Repeat((byte)' ', padding).ToArray());
        var unreturned = 0L;
        foreach (var (name, tensor) in ordered)
        {
            cancellation.ThrowIfCancellationRequested();
            var bytes = tensor.Read();
            if (!WeightDtypes.IsFinite(bytes, tensor.Dtype)) faults.Add($"non-finite: {name} ({tensor.Name})");
            var converted = WeightDtypes.Convert(bytes, tensor.Dtype, dtype ?? tensor.Dtype);
            if (!ReferenceEquals(converted, bytes) && !WeightDtypes.IsFinite(converted, dtype!))
                faults.Add($"too large for {dtype}: {name} ({tensor.Name})");
            stream.Write(converted);
            written(name, converted.Length);
            if ((unreturned += bytes.Length + converted.Length) < CollectedBytes) continue;
            GC.Collect(); // Large arrays are freed by a full collection only, which would otherwise happen after gigabytes of them.
            unreturned = 0;
        }
    }
}
