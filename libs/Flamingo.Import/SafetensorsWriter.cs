using System.Buffers.Binary;
using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;

namespace Flamingo.Import;

/// <summary>
/// Writes a safetensors file one tensor at a time, so that at most one tensor is in memory. Converts dtypes and reports non-finite values.
/// </summary>
public static class SafetensorsWriter
{
    private const long CollectedBytes = 256 << 20;

    // Bytes. The format allows no gaps between tensors, so the tensors whose length is a multiple of this are written first: all of
    // them, and the first of the remaining tensors, are then aligned.
    private const int Alignment = 64;

    /// <param name="path">Path of the file to write.</param>
    /// <param name="tensors">Tensors by the name that they get in the file.</param>
    /// <param name="dtype">Dtype of all tensors: F32, F16 or BF16. Null keeps the dtype of each tensor.</param>
    /// <param name="written">Called after each tensor with its name and the number of bytes written.</param>
    /// <param name="faults">Takes a message for each tensor with a non-finite value.</param>
    /// <param name="cancellation">Checked before each tensor.</param>
    public static void Write(string path, IReadOnlyDictionary<string, SourceTensor> tensors, string? dtype, Action<string, long> written,
        List<string> faults, CancellationToken cancellation)
    {
        long Length(SourceTensor tensor) =>
            tensor.Length / SafetensorsFile.ElementSize(tensor.Dtype) * SafetensorsFile.ElementSize(dtype ?? tensor.Dtype);
        var ordered = tensors.OrderBy(item => Length(item.Value) % Alignment == 0 ? 0 : 1)
            .ThenBy(item => item.Key, StringComparer.Ordinal).ToList();
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
            GC.Collect(); // Only a full collection frees large arrays, and .NET would start one gigabytes later.
            unreturned = 0;
        }
    }
}
