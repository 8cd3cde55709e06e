using Flamingo.Import.Pickles;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;
using Flamingo.Import.Tests.Pickles;
using Flamingo.Import.Tests.Sources;
using Flamingo.Testing;

namespace Flamingo.Import.Tests.Vision;

/// <summary>Imports one CLIP from four layouts, which must give the same model.</summary>
public sealed class VisionLayoutTests : IDisposable
{
    private static readonly string Family = RepositoryFiles.Path("tests", "reference", "families", "mpt7b");
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Open_clips_safetensors()
    {
        var folder = Directory.CreateDirectory(_folder["vision"]).FullName;
        File.Copy(Path.Combine(Family, "vision", "open_clip_config.json"), Path.Combine(folder, "open_clip_config.json"));
        using (var source = WeightSource.Open(Path.Combine(Family, "vision")))
            Write(Path.Combine(folder, "open_clip_model.safetensors"), source.Tensors.Values.ToDictionary(tensor => tensor.Name));
        AssertSame(Run(folder), Run(Path.Combine(Family, "vision"), "expected"));
    }

    [Fact]
    public void Openais_archive_whose_sizes_follow_from_the_shapes()
    {
        using (var source = WeightSource.Open(Path.Combine(Family, "vision")))
            WriteArchive(_folder["ViT-L-14.pt"], [.. source.Tensors.Values]);
        var (found, expected) = (Run(_folder["ViT-L-14.pt"]), Run(Path.Combine(Family, "vision"), "expected"));
        Assert.Equal(expected.Config.Weights["vision"].Digest, found.Config.Weights["vision"].Digest);
        // All of OpenAI's models have heads of width 64, which the importer assumes. The test model has heads of width 16, so the numbers
        // of heads differ.
        Assert.Equal(expected.Config.Vision with { Heads = 1, Preprocessing = null! }, found.Config.Vision with { Preprocessing = null! });
        Assert.Equal(expected.Config.Vision.Preprocessing.Mean, found.Config.Vision.Preprocessing.Mean);
    }

    [Fact]
    public void Hugging_faces_clip()
    {
        var folder = Directory.CreateDirectory(_folder["vision"]).FullName;
        File.WriteAllText(Path.Combine(folder, "config.json"), """
            {
              "model_type": "clip", "projection_dim": 32,
              "vision_config": {
                "hidden_size": 32, "image_size": 32, "patch_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 128, "hidden_act": "quick_gelu"
              }
            }
            """);
        File.WriteAllText(Path.Combine(folder, "preprocessor_config.json"),
            """{"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}""");
        using (var source = WeightSource.Open(Path.Combine(Family, "vision")))
            Write(Path.Combine(folder, "model.safetensors"), HuggingFace(source));
        AssertSame(Run(folder), Run(Path.Combine(Family, "vision"), "expected"));

        File.Delete(Path.Combine(folder, "config.json"));
        Assert.Contains("config.json is missing", Assert.Throws<CheckpointException>(() => Run(folder, "other")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void An_archive_whose_modules_hold_each_other_is_refused()
    {
        // The module is its own attribute.
        var pickle = new PickleWriter().Global("__torch__.clip", "Model").Op(")").Raw(0x81).Op("q\u0001}(").Text("visual")
            .Op("h\u0001ub").Stop();
        TorchFile.Write(_folder["clip.pt"], pickle);
        Assert.Contains("hold each other", Assert.Throws<CheckpointException>(() => Run(_folder["clip.pt"])).Message,
            StringComparison.Ordinal);
    }

    private static void AssertSame(ModelDirectory found, ModelDirectory expected)
    {
        Assert.Equal(expected.Config.Weights["vision"], found.Config.Weights["vision"]);
        Assert.Equal(expected.Config.Vision with { Preprocessing = null! }, found.Config.Vision with { Preprocessing = null! });
        Assert.Equal(expected.Config.Vision.Preprocessing.Std, found.Config.Vision.Preprocessing.Std);
    }

    private ModelDirectory Run(string vision, string output = "model") =>
        OpenFlamingoImport.Run(new OpenFlamingoSource(vision, Path.Combine(Family, "language"), Path.Combine(Family, "checkpoint.pt"), 2),
            _folder[output], null, CancellationToken.None);

    private static void Write(string path, Dictionary<string, SourceTensor> tensors) =>
            SafetensorsWriter.Write(path, tensors, null, (_, _) => { }, [], CancellationToken.None);

    // This conversion is that of transformers' convert_clip_original_pytorch_to_hf.py, the inverse of the importer's.
    private static Dictionary<string, SourceTensor> HuggingFace(WeightSource source)
    {
        var tensors = new Dictionary<string, SourceTensor> { ["logit_scale"] = source.Tensors["logit_scale"] };
        foreach (var (name, tensor) in source.Tensors.Where(item => item.Key.StartsWith("visual.", StringComparison.Ordinal)))
        {
            var to = "vision_model." + name["visual.".Length..]
                .Replace("transformer.resblocks", "encoder.layers").Replace("ln_1", "layer_norm1").Replace("ln_2", "layer_norm2")
                .Replace("mlp.c_fc", "mlp.fc1").Replace("mlp.c_proj", "mlp.fc2")
                .Replace("attn.out_proj", "self_attn.out_proj").Replace("ln_pre", "pre_layrnorm").Replace("ln_post", "post_layernorm")
                .Replace("class_embedding", "embeddings.class_embedding").Replace("conv1.weight", "embeddings.patch_embedding.weight")
                .Replace("positional_embedding", "embeddings.position_embedding.weight");
            if (name == "visual.proj")
            {
                tensors["visual_projection.weight"] =
                    tensor with { Read = () => Transposed(tensor.Read(), (int)tensor.Shape[0], (int)tensor.Shape[1]) };
            }
            else if (name.Contains(".in_proj_", StringComparison.Ordinal))
            {
                foreach (var (index, part) in new[] { "q", "k", "v" }.Index())
                    tensors[to.Replace("attn.in_proj_", $"self_attn.{part}_proj.")] =
                        tensor with { Shape = [tensor.Shape[0] / 3, .. tensor.Shape.Skip(1)], Read = () => Third(tensor.Read(), index) };
            }
            else
            {
                tensors[to] = tensor;
            }
        }

        return tensors;
    }

    private static byte[] Third(byte[] bytes, int part) => bytes[(part * bytes.Length / 3)..((part + 1) * bytes.Length / 3)];

    private static byte[] Transposed(byte[] bytes, int rows, int columns) =>
        [.. Enumerable.Range(0, columns)
            .SelectMany(column => Enumerable.Range(0, rows).SelectMany(row => bytes.Skip(((row * columns) + column) * 4).Take(4)))];

    // torch.jit.save writes nested modules like this: each is an object of a TorchScript class that is built from its attributes.
    private static void WriteArchive(string path, IReadOnlyList<SourceTensor> tensors)
    {
        var (pickle, storages) = (new PickleWriter(), new List<byte[]>());
        WriteModule("");
        TorchFile.Write(path, pickle.Stop(), storages);

        void WriteModule(string prefix)
        {
            pickle.Global("__torch__.multimodal.model.___torch_mangle_7", "Module").Op(")").Raw(0x81).Op("}(").Text("training").Raw(0x89);
            foreach (var name in tensors.Where(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal))
                .Select(tensor => tensor.Name[prefix.Length..].Split('.')[0]).Distinct())
            {
                pickle.Text(name);
                if (tensors.FirstOrDefault(tensor => tensor.Name == prefix + name) is not { } leaf) WriteModule($"{prefix}{name}.");
                else
                {
                    pickle.Tensor($"{storages.Count}", "FloatStorage", leaf.Shape.Aggregate(1L, (product, length) => product * length), 0,
                        leaf.Shape);
                    storages.Add(leaf.Read());
                }
            }

            pickle.Op("ub");
        }
    }
}
