using System.Runtime.InteropServices;
using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;

namespace Flamingo.VisionEncoder.Tests.Network;

/// <summary>Writes random weights for a vision tower of any geometry.</summary>
internal static class RandomTower
{
    public static void Write(string path, VisionConfig config, int seed)
    {
        var (random, tensors) = (new Random(seed), new Dictionary<string, SourceTensor>());
        long width = config.Width, patch = config.PatchSize, side = config.ImageSize / config.PatchSize;
        Add("class_embedding", width);
        Add("positional_embedding", 1 + (side * side), width);
        Add("conv1.weight", width, 3, patch, patch);
        Add("proj", width, config.PooledWidth);
        AddBoth("ln_pre", width);
        AddBoth("ln_post", width);
        for (var layer = 0; layer < config.Layers; layer++)
        {
            var block = $"transformer.resblocks.{layer}";
            AddBoth($"{block}.ln_1", width);
            AddBoth($"{block}.ln_2", width);
            Add($"{block}.attn.in_proj_weight", 3 * width, width);
            Add($"{block}.attn.in_proj_bias", 3 * width);
            AddBoth($"{block}.attn.out_proj", width, width);
            AddBoth($"{block}.mlp.c_fc", config.FeedForwardWidth, width);
            AddBoth($"{block}.mlp.c_proj", width, config.FeedForwardWidth);
        }

        SafetensorsWriter.Write(path, tensors, null, (_, _) => { }, [], CancellationToken.None);

        void AddBoth(string name, params long[] shape)
        {
            Add($"{name}.weight", shape);
            Add($"{name}.bias", shape[0]);
        }

        void Add(string name, params long[] shape)
        {
            var values = Enumerable.Range(0, (int)shape.Aggregate(1L, (product, size) => product * size))
                .Select(_ => (float)((random.NextDouble() - 0.5) * 0.3)).ToArray();
            tensors[name] = new SourceTensor(name, "F32", shape, () => MemoryMarshal.AsBytes(values.AsSpan()).ToArray());
        }
    }
}
