using System.IO.Compression;
using Flamingo.Import.Sources;

namespace Flamingo.Fixtures.PyTorch;

/// <summary>Writes files in the format of torch.save: an uncompressed zip with a pickle and one entry per storage.</summary>
public static class TorchFile
{
    private static readonly Dictionary<string, string> Storages = new()
    {
        ["F32"] = "FloatStorage", ["F16"] = "HalfStorage", ["BF16"] = "BFloat16Storage", ["I64"] = "LongStorage", ["BOOL"] = "BoolStorage",
    };

    /// <param name="storages">The storages, which are enumerated once.</param>
    public static void Write(string path, byte[] pickle, params IEnumerable<byte[]> storages)
    {
        using var zip = ZipFile.Open(path, ZipArchiveMode.Create);
        Add("archive/data.pkl", pickle);
        foreach (var (index, storage) in storages.Index()) Add($"archive/data/{index}", storage);

        void Add(string name, byte[] bytes)
        {
            using var stream = zip.CreateEntry(name, CompressionLevel.NoCompression).Open();
            stream.Write(bytes);
        }
    }

    /// <summary>
    /// Writes a state dict of these tensors, with a prefix to their names. One tensor is in memory at a time.
    /// </summary>
    /// <param name="nested">The state dict is the member model_state_dict of a dict that also has an epoch.</param>
    public static void WriteStateDict(string path, IEnumerable<SourceTensor> tensors, string prefix = "", bool nested = false)
    {
        var (pickle, storages) = (new PickleWriter().Op("}("), tensors.ToList());
        if (nested) pickle.Text("epoch").Op("K\u0003").Text("model_state_dict").Op("}(");
        foreach (var (index, tensor) in storages.Index())
        {
            var elements = tensor.Shape.Aggregate(1L, (product, length) => product * length);
            pickle.Text(prefix + tensor.Name).Tensor($"{index}", Storages[tensor.Dtype], elements, 0, tensor.Shape);
        }

        Write(path, pickle.Op(nested ? "uu" : "u").Stop(), storages.Select(tensor => tensor.Read()));
    }
}
