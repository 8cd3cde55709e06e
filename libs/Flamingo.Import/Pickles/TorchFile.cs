using System.IO.Compression;
using Flamingo.Import.Sources;

namespace Flamingo.Import.Pickles;

/// <summary>
/// Writes files in the format of torch.save: an uncompressed zip with a pickle and one entry per storage. The pickle uses storages,
/// _rebuild_tensor_v2 and OrderedDict alone, which torch.load reads in its safe mode too.
/// </summary>
public static class TorchFile
{
    private static readonly Dictionary<string, string> Storages = new()
    {
        ["F32"] = "FloatStorage", ["F16"] = "HalfStorage", ["BF16"] = "BFloat16Storage", ["I64"] = "LongStorage", ["BOOL"] = "BoolStorage",
    };

    /// <param name="path">Path of the file, which must not exist.</param>
    /// <param name="pickle">The saved object.</param>
    /// <param name="storages">The storages, which are enumerated once.</param>
    public static void Write(string path, byte[] pickle, params IEnumerable<byte[]> storages)
    {
        using var zip = ZipFile.Open(path, ZipArchiveMode.Create);
        // torch.load takes the name of the archive's folder from the first entry, and needs the version of the format.
        Add("archive/data.pkl", pickle);
        Add("archive/byteorder", "little"u8.ToArray());
        foreach (var (index, storage) in storages.Index()) Add($"archive/data/{index}", storage);
        Add("archive/version", "3\n"u8.ToArray());

        void Add(string name, byte[] bytes)
        {
            using var stream = zip.CreateEntry(name, CompressionLevel.NoCompression).Open();
            stream.Write(bytes);
        }
    }

    /// <summary>
    /// Writes a state dict of these tensors, with a prefix to their names. One tensor is in memory at a time.
    /// </summary>
    /// <param name="path">Path of the file, which must not exist.</param>
    /// <param name="tensors">The tensors, by their names in the file.</param>
    /// <param name="prefix">Put before each name.</param>
    /// <param name="nested">The state dict is the member model_state_dict of a dict that also has an epoch.</param>
    /// <param name="secondNames">Further names of tensors, and their first names. Both names share one storage.</param>
    public static void WriteStateDict(string path, IEnumerable<SourceTensor> tensors, string prefix = "", bool nested = false,
        IReadOnlyDictionary<string, string>? secondNames = null)
    {
        var (pickle, storages) = (new PickleWriter().Op("}("), tensors.ToList());
        if (nested) pickle.Text("epoch").Op("K\u0003").Text("model_state_dict").Op("}(");
        var names = storages.Index().Select(item => (item.Item.Name, item.Index))
            .Concat((secondNames ?? new Dictionary<string, string>()).Select(second =>
                (second.Key, Index: storages.FindIndex(tensor => tensor.Name == second.Value))));
        foreach (var (name, index) in names)
        {
            var shape = storages[index].Shape;
            var elements = shape.Aggregate(1L, (product, length) => product * length);
            pickle.Text(prefix + name).Tensor($"{index}", Storages[storages[index].Dtype], elements, 0, shape);
        }

        Write(path, pickle.Op(nested ? "uu" : "u").Stop(), storages.Select(tensor => tensor.Read()));
    }
}
