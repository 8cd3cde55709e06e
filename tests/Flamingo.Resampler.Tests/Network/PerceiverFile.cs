using System.Buffers.Binary;
using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.Resampler.Tests.Network;

/// <summary>Writes the weights of a perceiver resampler.</summary>
internal static class PerceiverFile
{
    /// <summary>Copies the tensors whose names have a prefix into a new file, without the prefix.</summary>
    public static void Write(string source, string prefix, string target)
    {
        using var file = SafetensorsFile.Open(source);
        var entries = file.Entries.Values.Where(entry => entry.Name.StartsWith(prefix, StringComparison.Ordinal)).ToArray();
        var offset = 0L;
        var header = JsonSerializer.SerializeToUtf8Bytes(entries.ToDictionary(
            entry => entry.Name[prefix.Length..],
            entry => (object)new { dtype = entry.Dtype, shape = entry.Shape, data_offsets = new[] { offset, offset += entry.Length } }));
        using var stream = File.Create(target);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        stream.Write(length);
        stream.Write(header);
        foreach (var entry in entries) stream.Write(file.Read(entry));
    }
}
