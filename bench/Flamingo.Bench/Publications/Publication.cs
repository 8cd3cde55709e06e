using System.Text.Json;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Import.Pickles;
using Flamingo.Import;
using Flamingo.Import.Sources;

namespace Flamingo.Bench.Publications;

/// <param name="Dtype">Dtype name of safetensors.</param>
public sealed record PublishedTensor(SyntheticTensor Tensor, string Dtype)
{
    public long Bytes => Tensor.Elements * SafetensorsFile.ElementSize(Dtype);
}

/// <param name="Path">
/// Path relative to the publication's folder. A file that does not end with <c>.safetensors</c> has the format of torch.save.
/// </param>
/// <param name="MaySplit">
/// Whether a file that exceeds the shard size is split into shards with an index, as transformers does. CLIP and checkpoint.pt are never
/// split.
/// </param>
public sealed record PublishedWeights(string Path, bool MaySplit, IReadOnlyList<PublishedTensor> Tensors);

/// <summary>The files of a published checkpoint, with the geometry of the original and random weights.</summary>
/// <param name="Texts">Content of configurations and tokenizers by path.</param>
/// <param name="Import">Imports the publication's folder into an output folder, with all weights in bf16.</param>
public sealed record Publication(
    IReadOnlyList<PublishedWeights> Weights, IReadOnlyDictionary<string, string> Texts,
    Func<string, string, IProgress<ImportProgress>?, CancellationToken, ModelDirectory> Import)
{
    public long Bytes => Weights.Sum(file => file.Tensors.Sum(tensor => tensor.Bytes));

    /// <param name="tokenizer">Content of any tokenizer.json whose ids are below the geometry's vocabulary size.</param>
    public static Publication Of(Geometry geometry,
        string tokenizer) =>
            geometry.Language.FeedForward == "swiglu" ? IdeficsPublication.Of(geometry, tokenizer)
                : OpenFlamingoPublication.Of(geometry, tokenizer);

    /// <param name="mostShardBytes">Maximum size of a shard in bytes; Hugging Face uses 10 GB.</param>
    public void Write(string folder, int seed, long mostShardBytes, Action<long> written, CancellationToken cancellation)
    {
        var values = new SyntheticValues(seed);
        foreach (var (path, content) in Texts) File.WriteAllText(Below(path), content);
        foreach (var file in Weights)
        {
            var shards = Shards(file.Tensors, file.MaySplit ? mostShardBytes : long.MaxValue);
            for (var shard = 0; shard < shards.Count; shard++) WriteShard(Below(Name(file.Path, shard, shards.Count)), shards[shard]);
            if (shards.Count == 1) continue;
            var map = shards.SelectMany((tensors, shard) =>
                tensors.Select(tensor => (tensor.Tensor.Name, File: Path.GetFileName(Name(file.Path, shard, shards.Count)))))
                .ToDictionary(item => item.Name, item => item.File);
            File.WriteAllText(Below($"{file.Path}.index.json"),
                JsonSerializer.Serialize(new { metadata = new { total_size = file.Tensors.Sum(tensor => tensor.Bytes) },
                    weight_map = map }));
        }

        string Below(string path)
        {
            var full = Path.Combine(folder, path);
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            return full;
        }

        void WriteShard(string path, List<PublishedTensor> tensors)
        {
            var sources = tensors.Select(tensor => new SourceTensor(tensor.Tensor.Name, tensor.Dtype, tensor.Tensor.Shape, () =>
            {
                cancellation.ThrowIfCancellationRequested();
                written(tensor.Bytes);
                return values.Fill(tensor.Tensor, tensor.Dtype);
            }));
            if (path.EndsWith(".safetensors", StringComparison.Ordinal))
                SafetensorsWriter.Write(path, sources.ToDictionary(source => source.Name), dtype: null, (_, _) => { }, faults: [],
                    cancellation);
            else TorchFile.WriteStateDict(path, sources);
        }
    }

    private static List<List<PublishedTensor>> Shards(IReadOnlyList<PublishedTensor> tensors, long mostBytes)
    {
        var (shards, bytes) = (new List<List<PublishedTensor>>(), 0L);
        foreach (var tensor in tensors)
        {
            if (shards.Count == 0 || bytes > mostBytes - tensor.Bytes)
            {
                shards.Add([]);
                bytes = 0;
            }

            shards[^1].Add(tensor);
            bytes += tensor.Bytes;
        }

        return shards;
    }

    // pytorch_model.bin → pytorch_model-00001-of-00002.bin
    private static string Name(string path, int shard,
        int shards) =>
            shards == 1 ? path : $"{path[..^Path.GetExtension(path).Length]}-{shard + 1:00000}-of-{shards:00000}{Path.GetExtension(path)}";
}
