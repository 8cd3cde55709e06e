using System.IO.Compression;
using Flamingo.Checkpoints;
using Flamingo.Import.Pickles;

namespace Flamingo.Import.Sources;

/// <summary>
/// A file of torch.save or torch.jit.save: a zip archive with a pickle and one entry per storage. A storage is read when a tensor in it is
/// read. The code of a module is never read.
/// </summary>
public sealed class PyTorchFile : IDisposable
{
    private const long MostPickleBytes = 256 << 20;
    private const int MostInflation = 32; // torch does not compress. Repacked files may be compressed; zip bombs are refused.
    private readonly string _path;
    private readonly ZipArchive _zip;
    private readonly string _folder;

    private PyTorchFile(string path, ZipArchive zip, string folder, Dictionary<object, object?> content, bool isTorchScript) =>
        (_path, _zip, _folder, Content, IsTorchScript) = (path, zip, folder, content, isTorchScript);

    /// <summary>The saved dictionary as the pickle describes it.</summary>
    public Dictionary<object, object?> Content { get; }

    /// <summary>Whether torch.jit.save wrote the file. Its content is then what the module's state_dict would list.</summary>
    public bool IsTorchScript { get; }

    /// <exception cref="CheckpointException">
    /// The file is not a zip archive, has no pickle, or has a pickle that needs more than plain data.
    /// </exception>
    public static PyTorchFile Open(string path)
    {
        ZipArchive? zip = null;
        try
        {
            zip = ZipFile.OpenRead(path);
            var entry = zip.Entries.FirstOrDefault(
                candidate => candidate.FullName == "data.pkl" || candidate.FullName.EndsWith("/data.pkl", StringComparison.Ordinal))
                ?? throw new CheckpointException($"{path} holds no data.pkl: it is not a file of torch.save.");
            if (entry.Length is < 0 or > MostPickleBytes) throw new CheckpointException($"{path}: its pickle claims {entry.Length} bytes.");
            var saved = PickleReader.Read(ReadAll(entry, entry.Length), path);
            var content = saved as Dictionary<object, object?>
                ?? (saved as PickledModule)?.StateDict(path) ?? throw new CheckpointException($"{path} holds no dictionary of weights.");
            return new PyTorchFile(path, zip, entry.FullName[..^"data.pkl".Length], content, saved is PickledModule);
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException or NotSupportedException or ArgumentException
            or OverflowException)
        {
            zip?.Dispose();
            throw new CheckpointException($"{path} is not a file of torch.save (1.6 or later), or is truncated: {exception.Message}",
                exception);
        }
        catch (CheckpointException)
        {
            zip?.Dispose();
            throw;
        }
    }

    /// <summary>Lists the tensors of a dictionary of this file. Their positions are checked; their elements are read later.</summary>
    /// <exception cref="CheckpointException">A tensor reaches beyond its storage.</exception>
    public IEnumerable<SourceTensor> Tensors(Dictionary<object, object?> dictionary) =>
        from item in dictionary
        where item is { Key: string, Value: PickledTensor }
        let tensor = (PickledTensor)item.Value!
        let place = Locate((string)item.Key, tensor)
        select new SourceTensor((string)item.Key, tensor.Storage.Dtype, tensor.Shape,
            () => Read((string)item.Key, tensor, place.Entry, place.Elements));

    public void Dispose() => _zip.Dispose();

    private (ZipArchiveEntry Entry, long Elements) Locate(string name, PickledTensor tensor)
    {
        try
        {
            var size = SafetensorsFile.ElementSize(tensor.Storage.Dtype);
            var elements = tensor.Shape.Aggregate(1L, (product, length) => checked(product * length));
            var last = elements == 0 ? -1 : tensor.Shape.Zip(tensor.Stride, (length, stride) => checked((length - 1) * stride)).Sum();
            var entry = _zip.GetEntry($"{_folder}data/{tensor.Storage.Key}")
                ?? throw new CheckpointException($"{_path}: the storage of '{name}' is missing.");
            // A view may repeat elements (a stride of zero), but must not have more elements than its storage: a small file could
            // otherwise claim any amount of memory.
            if (tensor.Shape.Count != tensor.Stride.Count || checked((tensor.Offset + last + 1) * size) > entry.Length || tensor.Offset < 0
                || checked(elements * size) > entry.Length)
                throw new CheckpointException($"{_path}: '{name}' reaches beyond its storage; the file is damaged.");
            if (elements * size > Array.MaxLength)
                throw new CheckpointException($"{_path}: '{name}' is larger than 2 GiB; save the checkpoint in shards.");
            return (entry, elements);
        }
        catch (OverflowException exception)
        {
            throw new CheckpointException($"{_path}: '{name}' has impossible sizes; the file is damaged.", exception);
        }
    }

    private byte[] Read(string name, PickledTensor tensor, ZipArchiveEntry entry, long elements)
    {
        var size = SafetensorsFile.ElementSize(tensor.Storage.Dtype);
        try
        {
            return Contiguous(tensor) ? Range(entry, tensor.Offset * size, elements * size)
                : Gather(ReadAll(entry, entry.Length), tensor, size, elements);
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException or NotSupportedException or ArgumentException
            or OverflowException)
        {
            throw new CheckpointException($"{_path}: '{name}' cannot be read, the file is truncated or damaged: {exception.Message}",
                exception);
        }
    }

    private static bool Contiguous(PickledTensor tensor)
    {
        var expected = 1L;
        for (var axis = tensor.Shape.Count - 1; axis >= 0; axis--)
        {
            if (tensor.Shape[axis] != 1 && tensor.Stride[axis] != expected) return false;
            expected *= tensor.Shape[axis];
        }

        return true;
    }

    private static byte[] Gather(byte[] storage, PickledTensor tensor, int size, long elements)
    {
        var (result, index) = (new byte[elements * size], new long[tensor.Shape.Count]);
        for (long element = 0; element < elements; element++)
        {
            var from = tensor.Offset + index.Zip(tensor.Stride, (position, stride) => position * stride).Sum();
            storage.AsSpan(checked((int)(from * size)), size).CopyTo(result.AsSpan(checked((int)(element * size))));
            for (var axis = index.Length - 1; axis >= 0 && ++index[axis] == tensor.Shape[axis]; axis--) index[axis] = 0;
        }

        return result;
    }

    private static byte[] ReadAll(ZipArchiveEntry entry, long length) => Range(entry, 0, length);

    private static byte[] Range(ZipArchiveEntry entry, long offset, long length)
    {
        if (entry.Length / MostInflation > entry.CompressedLength + (1 << 10))
            throw new InvalidDataException($"{entry.FullName} claims to grow from {entry.CompressedLength} to {entry.Length} bytes");
        using var stream = entry.Open(); // This call fails if the entry lies outside the file, before memory is allocated for it.
        var skip = new byte[Math.Min(offset, 1 << 20)];
        while (offset > 0)
        {
            var part = (int)Math.Min(offset, skip.Length);
            stream.ReadExactly(skip, 0, part);
            offset -= part;
        }

        var bytes = GC.AllocateUninitializedArray<byte>(checked((int)length));
        stream.ReadExactly(bytes);
        return bytes;
    }
}
