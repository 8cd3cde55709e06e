using System.IO.Compression;
using Flamingo.Import.Sources;

namespace Flamingo.Bench.Publications;

/// <summary>Writes files as torch.save does: a zip, uncompressed, with a pickle and one entry per storage.</summary>
internal static class TorchFile
{
    private static readonly Dictionary<string, string> Storages = new() { ["F32"] = "FloatStorage", ["F16"] = "HalfStorage", ["BF16"] = "BFloat16Storage", ["I64"] = "LongStorage", ["BOOL"] = "BoolStorage" };

    /// <param name="storages">Read one after the other, none twice.</param>
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

    /// <summary>A state dict of these tensors, under a prefix, and under model_state_dict where <paramref name="nested"/>. One tensor is in memory at a time.</summary>
    public static void WriteStateDict(string path, IEnumerable<SourceTensor> tensors, string prefix = "", bool nested = false)
    {
        var (pickle, storages) = (new PickleWriter().Op("}("), tensors.ToList());
        if (nested) pickle.Text("epoch").Op("K\u0003").Text("model_state_dict").Op("}(");
        foreach (var (index, tensor) in storages.Index()) pickle.Text(prefix + tensor.Name).Tensor($"{index}", Storages[tensor.Dtype], tensor.Shape.Aggregate(1L, (product, length) => product * length), 0, tensor.Shape);
        Write(path, pickle.Op(nested ? "uu" : "u").Stop(), storages.Select(tensor => tensor.Read()));
    }
}
