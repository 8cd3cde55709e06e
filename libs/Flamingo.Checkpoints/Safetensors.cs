using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Security.Cryptography;
using System.Text.Json;

namespace Flamingo.Checkpoints;

/// <summary>One tensor of a safetensors file.</summary>
/// <param name="Name">Name of the tensor.</param>
/// <param name="Dtype">Dtype as the format spells it: F32, F16, BF16, I64, …</param>
/// <param name="Shape">Length of each dimension.</param>
/// <param name="Offset">Position of the first byte in the file.</param>
/// <param name="Length">Number of bytes.</param>
public sealed record SafetensorsEntry(string Name, string Dtype, IReadOnlyList<long> Shape, long Offset, long Length);

/// <summary>
/// A memory-mapped safetensors file. The format is an 8-byte length, a JSON header and the data; see
/// https://github.com/huggingface/safetensors.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    private const long MostHeaderBytes = 100_000_000;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;

    private SafetensorsFile(string path, MemoryMappedFile file, MemoryMappedViewAccessor view, byte* start,
        Dictionary<string, SafetensorsEntry> entries, string headerSha256)
    {
        (Path, _file, _view, Entries, HeaderSha256) = (path, file, view, entries, headerSha256);
        _start = start;
    }

    public string Path { get; }

    /// <summary>All tensors by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries { get; }

    /// <summary>Lowercase hexadecimal SHA-256 of length prefix and JSON header.</summary>
    public string HeaderSha256 { get; }

    /// <summary>Returns the number of bytes of one element; 0 for a dtype that this reader does not know.</summary>
    public static int ElementSize(string dtype) => dtype switch
    {
        "F64" or "I64" or "U64" => 8,
        "F32" or "I32" or "U32" => 4,
        "F16" or "BF16" or "I16" or "U16" => 2,
        "I8" or "U8" or "BOOL" or "F8_E4M3" or "F8_E5M2" => 1,
        _ => 0,
    };

    /// <exception cref="CheckpointException">The file is truncated, has overlapping tensors, or is not a safetensors file.</exception>
    public static SafetensorsFile Open(string path)
    {
        var size = TextFile.Length(path);
        byte[] header;
        using (var stream = File.OpenRead(path))
        {
            Span<byte> prefix = stackalloc byte[8];
            if (size < 8) throw new CheckpointException($"{path} is truncated: {size} bytes.");
            stream.ReadExactly(prefix);
            var length = BinaryPrimitives.ReadInt64LittleEndian(prefix);
            if (length < 2 || length > MostHeaderBytes || length > size - 8)
                throw new CheckpointException($"{path} is not a safetensors file or is truncated: its header claims {length} bytes.");
            header = new byte[8 + length];
            prefix.CopyTo(header);
            stream.ReadExactly(header.AsSpan(8));
        }

        var entries = Parse(path, header, size);
        var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        var view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        return new SafetensorsFile(path, file, view, start + view.PointerOffset, entries,
            Convert.ToHexStringLower(SHA256.HashData(header)));
    }

    /// <summary>Returns the bytes of a tensor in the mapping, at most 2 GiB. They are valid until this file is disposed.</summary>
    public ReadOnlySpan<byte> Read(SafetensorsEntry entry) => new(_start + entry.Offset, checked((int)entry.Length));

    /// <summary>
    /// Reads a part of a tensor through the file instead of the mapping. Pages that are read through the mapping would count as memory of
    /// this process.
    /// </summary>
    /// <param name="entry">The tensor.</param>
    /// <param name="offset">Position of the part in the tensor, in bytes.</param>
    /// <param name="target">Receives the bytes; its length is that of the part.</param>
    /// <exception cref="CheckpointException">The file became shorter.</exception>
    public void Copy(SafetensorsEntry entry, long offset, Span<byte> target)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(target.Length, entry.Length - offset);
        using var handle = File.OpenHandle(Path);
        for (var done = 0; done < target.Length;)
        {
            var read = RandomAccess.Read(handle, target[done..], entry.Offset + offset + done);
            if (read == 0) throw new CheckpointException($"{Path} became shorter while it was read.");
            done += read;
        }
    }

    /// <summary>Returns the address of a tensor in the mapping. It is valid until this file is disposed.</summary>
    public nint Address(SafetensorsEntry entry) => (nint)(_start + entry.Offset);

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }

    private static Dictionary<string, SafetensorsEntry> Parse(string path, byte[] header, long fileSize)
    {
        var entries = new Dictionary<string, SafetensorsEntry>(StringComparer.Ordinal);
        try
        {
            using var json = JsonDocument.Parse(header.AsMemory(8), new JsonDocumentOptions { AllowDuplicateProperties = false });
            foreach (var property in json.RootElement.EnumerateObject().Where(property => property.Name != "__metadata__"))
            {
                var dtype = property.Value.GetProperty("dtype").GetString()!;
                var shape = property.Value.GetProperty("shape").EnumerateArray().Select(length => length.GetInt64()).ToArray();
                var offsets = property.Value.GetProperty("data_offsets");
                var (begin, end) = (offsets[0].GetInt64(), offsets[1].GetInt64());
                var elements = shape.Aggregate(1L,
                    (product, length) => length < 0 ? throw new OverflowException() : checked(product * length));
                if (offsets.GetArrayLength() != 2) throw new FormatException($"'{property.Name}' has {offsets.GetArrayLength()} offsets.");
                if (ElementSize(dtype) == 0)
                    throw new CheckpointException($"{path}: tensor '{property.Name}' has the unknown dtype '{dtype}'.");
                if (begin < 0 || end < begin || end > fileSize - header.Length || end - begin != checked(elements * ElementSize(dtype)))
                    throw new CheckpointException($"{path}: tensor '{property.Name}' lies outside the file or does not fit its shape; "
                        + "the file is truncated or damaged.");
                if (!entries.TryAdd(property.Name, new SafetensorsEntry(property.Name, dtype, shape, header.Length + begin, end - begin)))
                    throw new CheckpointException($"{path}: tensor '{property.Name}' stands twice.");
            }
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException
            or OverflowException or FormatException or IndexOutOfRangeException)
        {
            throw new CheckpointException($"{path} has a damaged safetensors header: {exception.Message}", exception);
        }

        var taken = (long)header.Length;
        foreach (var entry in entries.Values.OrderBy(entry => entry.Offset).ThenBy(entry => entry.Length))
        {
            if (entry.Offset < taken)
                throw new CheckpointException($"{path}: tensor '{entry.Name}' overlaps another; the file is damaged.");
            taken = entry.Offset + entry.Length;
        }

        return entries;
    }
}
