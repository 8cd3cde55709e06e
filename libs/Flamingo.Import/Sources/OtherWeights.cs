using System.Text;
using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

/// <summary>
/// Recognises files that users take for the weights of a model by mistake, and refuses them with a message that says what they are and
/// what to do.
/// </summary>
internal static class OtherWeights
{
    public const string Quantised =
        "its weights are quantised, and the importer reads F32, F16 and BF16. Take the publication that is not quantised; services "
        + "round weights to 8 bits themselves with Model:WeightStorage=int8.";

    private const string AdapterConfig = "adapter_config.json";
    private const string Merge =
        "Merge it into the model that it was trained on (with peft: merge_and_unload, then save_pretrained) and name the merged folder.";

    // Endings of tensor names: the first four are those of bitsandbytes, the last three those of GPTQ and AWQ.
    private static readonly string[] QuantisedEndings =
        [".SCB", ".absmax", ".quant_map", ".nested_absmax", ".qweight", ".qzeros", ".g_idx"];

    // The first bytes of a file with the second half of the sentence that names its format.
    private static readonly (string Begin, string Is)[] Formats =
    [
        ("GGUF", $"is a GGUF file of llama.cpp: {Quantised}"),
        ("lmgg", $"is a GGML file of llama.cpp: {Quantised}"),
        ("tjgg", $"is a GGML file of llama.cpp: {Quantised}"),
        ("version https://git-lfs", "is a pointer of Git LFS and not the file itself. Download it: git lfs pull."),
        ("<!DOCTYPE", "is a web page. Download the file itself."),
        ("<html", "is a web page. Download the file itself."),
    ];

    // Weights of other frameworks, which a folder may hold instead of PyTorch's.
    private static readonly string[] Foreign = ["*.gguf", "*.ggml", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.pth", "*.ckpt"];

    /// <summary>Refuses a folder with an adapter.</summary>
    /// <exception cref="CheckpointException">The folder holds an adapter_config.json.</exception>
    public static void RefuseFolder(string folder)
    {
        var file = Path.Combine(folder, AdapterConfig);
        if (!File.Exists(file)) return;
        using var config = ConfigJson.Open(file);
        var of = config.RootElement.Member("base_model_name_or_path") is { } name ? $" of {name}" : "";
        throw new CheckpointException(
            $"{folder} holds a LoRA or another PEFT adapter{of} ({AdapterConfig}), which is not a complete model. {Merge}");
    }

    /// <summary>Refuses a file of another format by its first bytes.</summary>
    /// <exception cref="CheckpointException">The file begins like a file of another format.</exception>
    public static void RefuseFile(string file)
    {
        using var stream = File.OpenRead(file);
        var begin = new byte[32];
        var text = Encoding.Latin1.GetString(begin, 0, stream.ReadAtLeast(begin, begin.Length, throwOnEndOfStream: false));
        if (Array.Find(Formats, format => text.StartsWith(format.Begin, StringComparison.OrdinalIgnoreCase)) is { Is: { } found })
            throw new CheckpointException($"{file} {found}");
    }

    /// <summary>Refuses the tensors of an adapter or of a quantised model by their names.</summary>
    /// <exception cref="CheckpointException">The tensors belong to an adapter or are quantised.</exception>
    public static void RefuseTensors(string file, IEnumerable<string> names)
    {
        foreach (var name in names)
        {
            if (name.Contains(".lora_A.", StringComparison.Ordinal) || name.Contains(".lora_B.", StringComparison.Ordinal))
                throw new CheckpointException($"{file} holds a LoRA adapter ('{name}'), which is not a complete model. {Merge}");
            if (QuantisedEndings.Any(ending => name.EndsWith(ending, StringComparison.Ordinal))
                || name.Contains(".quant_state.", StringComparison.Ordinal))
                throw new CheckpointException($"{file} holds '{name}': {Quantised}");
        }
    }

    /// <summary>Returns a sentence, with a blank before it, that names the weights of other frameworks in a folder.</summary>
    /// <returns>An empty text if the folder has no such files.</returns>
    /// <exception cref="CheckpointException">A file begins like a file of another format.</exception>
    public static string Instead(string folder)
    {
        var found = Foreign.SelectMany(pattern => Directory.GetFiles(folder, pattern)).Order(StringComparer.Ordinal).ToList();
        foreach (var file in found) RefuseFile(file);
        return found.Count == 0 ? ""
            : $" It holds {Names(found)}, which this build does not read: take the PyTorch weights (safetensors, .bin or .pt) of the same "
                + "publication.";
    }

    /// <summary>Lists at most five file names and the number of further files.</summary>
    public static string Names(IReadOnlyList<string> files) =>
        string.Join(", ", files.Take(5).Select(Path.GetFileName)) + (files.Count > 5 ? $" and {files.Count - 5} more" : "");
}
