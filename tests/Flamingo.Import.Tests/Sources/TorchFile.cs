using System.IO.Compression;
using Flamingo.Import.Sources;
using Flamingo.Import.Tests.Pickles;

namespace Flamingo.Import.Tests.Sources;

/// <summary>Writes files as torch.save does: a zip, uncompressed, with a pickle and one entry per storage.</summary>
internal static class TorchFile
{
    private static readonly Dictionary<string, string> Storages = new() { ["F32"] = "FloatStorage", ["F16"] = "HalfStorage", ["BF16"] = "BFloat16Storage", ["I64"] = "LongStorage" };

    public static void Write(string path, byte[] pickle, params IReadOnlyList<byte[]> storages)
    {
        using var zip = ZipFile.Open(path, ZipArchiveMode.Create);
        Add("archive/data.pkl", pickle);
        for (var index = 0; index < storages.Count; index++) Add($"archive/data/{index}", storages[index]);

        void Add(string name, byte[] bytes)
        {
            using var stream = zip.CreateEntry(name, CompressionLevel.NoCompression).Open();
            stream.Write(bytes);
        }
    }

    /// <summary>A state dict of these tensors, under a prefix, and under model_state_dict where <paramref name="nested"/>.</summary>
    public static void WriteStateDict(string path, IEnumerable<SourceTensor> tensors, string prefix = "", bool nested = false)
    {
        var (pickle, storages) = (new PickleWriter().Op("}("), new List<byte[]>());
        if (nested) pickle.Text("epoch").Op("K\u0003").Text("model_state_dict").Op("}(");
        foreach (var tensor in tensors)
        {
            var bytes = tensor.Read();
            pickle.Text(prefix + tensor.Name).Tensor($"{storages.Count}", Storages[tensor.Dtype], tensor.Shape.Aggregate(1L, (product, length) => product * length), 0, tensor.Shape);
            storages.Add(bytes);
        }

        Write(path, pickle.Op(nested ? "uu" : "u").Stop(), storages);
    }
}
