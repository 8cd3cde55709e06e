using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Pickles;

namespace Flamingo.Import.Sources;

/// <summary>
/// Published weights in one file or a folder: pytorch_model.bin, checkpoint.pt or safetensors, whole or sharded with an index. Opening
/// lists the tensors; their elements are read one tensor at a time.
/// </summary>
public sealed class WeightSource : IDisposable
{
    private readonly List<IDisposable> _open = [];
    private readonly Dictionary<string, SourceTensor> _tensors = new(StringComparer.Ordinal);

    private WeightSource(IReadOnlyList<string> files) => Files = files;

    /// <summary>Paths of the opened files.</summary>
    public IReadOnlyList<string> Files { get; }

    /// <summary>All tensors by published name. They can be read until this source is disposed.</summary>
    public IReadOnlyDictionary<string, SourceTensor> Tensors => _tensors;

    /// <summary>Whether the file is a TorchScript module (OpenAI's CLIP). Only its weights are read, not its code.</summary>
    public bool IsTorchScript { get; private set; }

    /// <exception cref="CheckpointException">There are no weights, a shard is missing, or a file is damaged.</exception>
    public static WeightSource Open(string path)
    {
        var source = new WeightSource(
            Directory.Exists(path) ? FilesOf(path) : File.Exists(path) ? [path] : throw new CheckpointException($"{path} does not exist."));
        try
        {
            foreach (var file in source.Files) source.Add(file);
            OtherWeights.RefuseTensors(path, source.Tensors.Keys);
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Returns tensors that are computed, not read from a file.</summary>
    /// <param name="label">What messages call them.</param>
    /// <param name="tensors">The tensors by their names.</param>
    internal static WeightSource Of(string label, IEnumerable<SourceTensor> tensors)
    {
        var source = new WeightSource([label]);
        foreach (var tensor in tensors) source._tensors.Add(tensor.Name, tensor);
        return source;
    }

    public void Dispose() => _open.ForEach(file => file.Dispose());

    private static List<string> FilesOf(string folder)
    {
        OtherWeights.RefuseFolder(folder);
        // A publication may have both formats. Safetensors are preferred, because reading them needs no pickle.
        foreach (var ending in new[] { ".safetensors", ".bin" })
        {
            var index = Directory.GetFiles(folder, $"*{ending}.index.json").Order(StringComparer.Ordinal).FirstOrDefault();
            if (index is not null) return Shards(folder, index);
            var files = Directory.GetFiles(folder, $"*{ending}").Order(StringComparer.Ordinal).ToList();
            if (files.Count == 1) return files;
            if (files.Count > 1) throw new CheckpointException(
                $"{folder} holds {files.Count} {ending} files and no index: {OtherWeights.Names(files)}. Name the one file to import, "
                + "or download the index too.");
        }

        var checkpoints = Directory.GetFiles(folder, "*.pt").Order(StringComparer.Ordinal).ToList();
        if (checkpoints.Count > 1) throw new CheckpointException(
            $"{folder} holds {checkpoints.Count} checkpoints: {OtherWeights.Names(checkpoints)}. Name the one file to import.");
        if (checkpoints.Count == 1) return checkpoints;
        throw new CheckpointException(
            $"{folder} holds no weights: no *.safetensors, no *.bin and no *.pt.{OtherWeights.Instead(folder)}");
    }

    private static List<string> Shards(string folder, string index)
    {
        try
        {
            using var json = JsonDocument.Parse(TextFile.ReadJson(index));
            var names = json.RootElement.GetProperty("weight_map").EnumerateObject()
                .Select(item => item.Value.GetString() ?? throw new FormatException($"the shard of {item.Name} is null")).Distinct()
                .Order(StringComparer.Ordinal).ToList();
            if (names.Count == 0) throw new FormatException("it names no shards");
            var missing = names.Where(name => name != Path.GetFileName(name) || !File.Exists(Path.Combine(folder, name))).ToList();
            if (missing.Count > 0)
                throw new CheckpointException($"{index} names shards that are missing: {string.Join(", ", missing)}. Download them.");
            return [.. names.Select(name => Path.Combine(folder, name))];
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException
            or FormatException)
        {
            var problem = exception is JsonException malformed ? JsonProblem.Describe(malformed) : exception.Message;
            throw new CheckpointException($"{index} is damaged: {problem}", exception);
        }
    }

    private static byte[] Copy(SafetensorsFile file, SafetensorsEntry entry)
    {
        var bytes = GC.AllocateUninitializedArray<byte>(checked((int)entry.Length));
        file.Copy(entry, 0, bytes);
        return bytes;
    }

    private void Add(string file)
    {
        OtherWeights.RefuseFile(file);
        if (file.EndsWith(".safetensors", StringComparison.Ordinal))
        {
            var opened = SafetensorsFile.Open(file);
            _open.Add(opened);
            foreach (var entry in opened.Entries.Values)
                _tensors[entry.Name] = new SourceTensor(entry.Name, entry.Dtype, entry.Shape, () => Copy(opened, entry));
            return;
        }

        var pickled = PyTorchFile.Open(file);
        _open.Add(pickled);
        var weights = pickled.Content;
        // Training nests the weights one level deep at most. The code follows one level only, because a hostile pickle may contain itself.
        if ((weights.GetValueOrDefault("model_state_dict") ?? weights.GetValueOrDefault("state_dict")) is Dictionary<object, object?> inner)
            weights = inner;
        IsTorchScript = pickled.IsTorchScript;
        foreach (var tensor in pickled.Tensors(weights))
        {
            var name = tensor.Name.StartsWith("module.", StringComparison.Ordinal) ? tensor.Name["module.".Length..] : tensor.Name;
            _tensors[name] = tensor with { Name = name };
        }
    }
}
