using System.Text;
using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

/// <summary>What people take for the weights of a model and is something else: told by its name, with what to do.</summary>
internal static class OtherWeights
{
    public const string Quantised =
        "its weights are quantised, and the importer reads F32, F16 and BF16. Take the publication that is not quantised; services "
        + "round weights to 8 bits themselves with Model:WeightStorage=int8.";

    private const string AdapterConfig = "adapter_config.json";
    private const string Merge =
        "Merge it into the model that it was trained on (with peft: merge_and_unload, then save_pretrained) and name the merged folder.";

    // bitsandbytes, then GPTQ and AWQ
    private static readonly string[] QuantisedEndings =
        [".SCB", ".absmax", ".quant_map", ".nested_absmax", ".qweight", ".qzeros", ".g_idx"];

    // first bytes of a file, and what it is then
    private static readonly (string Begin, string Is)[] Formats =
    [
        ("GGUF", $"is a GGUF file of llama.cpp: {Quantised}"), ("lmgg", $"is a GGML file of llama.cpp: {Quantised}"),
        ("tjgg", $"is a GGML file of llama.cpp: {Quantised}"),
        ("version https://git-lfs", "is a pointer of Git LFS and not the file itself. Download it: git lfs pull."),
        ("<!DOCTYPE", "is a web page. Download the file itself."), ("<html", "is a web page. Download the file itself."),
    ];

    // weights of other frameworks, which a folder may hold instead of torch's
    private static readonly string[] Foreign = ["*.gguf", "*.ggml", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.pth", "*.ckpt"];

    /// <exception cref="CheckpointException">The folder is an adapter's.</exception>
    public static void RefuseFolder(string folder)
    {
        var file = Path.Combine(folder, AdapterConfig);
        if (!File.Exists(file)) return;
        using var config = ConfigJson.Open(file);
        var of = config.RootElement.Member("base_model_name_or_path") is { } name ? $" of {name}" : "";
        throw new CheckpointException(
            $"{folder} holds a LoRA or another PEFT adapter{of} ({AdapterConfig}): differences to a model, not a model. {Merge}");
    }

    /// <exception cref="CheckpointException">The file begins like one of another format.</exception>
    public static void RefuseFile(string file)
    {
        using var stream = File.OpenRead(file);
        var begin = new byte[32];
        var text = Encoding.Latin1.GetString(begin, 0, stream.ReadAtLeast(begin, begin.Length, throwOnEndOfStream: false));
        if (Array.Find(Formats, format => text.StartsWith(format.Begin, StringComparison.OrdinalIgnoreCase)) is { Is: { } found })
            throw new CheckpointException($"{file} {found}");
    }

    /// <exception cref="CheckpointException">The tensors are an adapter's, or quantised.</exception>
    public static void RefuseTensors(string file, IEnumerable<string> names)
    {
        foreach (var name in names)
        {
            if (name.Contains(".lora_A.", StringComparison.Ordinal) || name.Contains(".lora_B.", StringComparison.Ordinal))
                throw new CheckpointException($"{file} holds a LoRA adapter ('{name}'): differences to a model, not a model. {Merge}");
            if (QuantisedEndings.Any(ending => name.EndsWith(ending, StringComparison.Ordinal))
                || name.Contains(".quant_state.", StringComparison.Ordinal))
                throw new CheckpointException($"{file} holds '{name}': {Quantised}");
        }
    }

    /// <summary>Says what a folder without weights holds instead, or nothing.</summary>
    public static string Instead(string folder)
    {
        var found = Foreign.SelectMany(pattern => Directory.GetFiles(folder, pattern)).Order(StringComparer.Ordinal).ToList();
        foreach (var file in found) RefuseFile(file);
        return found.Count == 0 ? ""
            : $" It holds {Names(found)}, which is not read: take the weights of torch (safetensors, .bin or .pt) of the same publication.";
    }

    /// <summary>The first names of many files.</summary>
    public static string Names(IReadOnlyList<string> files) =>
        string.Join(", ", files.Take(5).Select(Path.GetFileName)) + (files.Count > 5 ? $" and {files.Count - 5} more" : "");
}
