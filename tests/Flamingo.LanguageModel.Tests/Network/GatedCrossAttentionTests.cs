using System.Buffers.Binary;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using Flamingo.Testing;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Network;

public sealed class GatedCrossAttentionTests(Models models)
{
    private static readonly CrossAttentionConfig Config =
        new() { Layers = [0], Heads = 8, HeadWidth = 64, LatentWidth = 32, FeedForwardWidth = 192 };

    // module of the reference → canonical name
    private static readonly Dictionary<string, string> Names = new()
    {
        ["attn.norm.weight"] = "attention_norm.weight", ["attn.norm.bias"] = "attention_norm.bias",
        ["attn.to_q.weight"] = "attention.query.weight",
        ["attn.to_kv.weight"] = "attention.key_value.weight", ["attn.to_out.weight"] = "attention.output.weight",
        ["attn_gate"] = "attention_gate",
        ["ff.0.weight"] = "feed_forward_norm.weight", ["ff.0.bias"] = "feed_forward_norm.bias", ["ff.1.weight"] = "feed_forward.up.weight",
        ["ff.3.weight"] = "feed_forward.down.weight", ["ff_gate"] = "feed_forward_gate",
    };

    [Fact]
    public async Task Text_sees_its_last_picture_as_in_the_original()
    {
        // pictures are at positions 2, 5 and 6, so rows 0 and 1 attend to none
        var output = await Forward([-1, -1, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2]);
        Assert.InRange(Golden.Error(Expected("output"), output), 0, 1e-5);
    }

    [Fact]
    public async Task A_decoding_step_sees_the_last_picture_as_in_the_original()
    {
        var output = await Forward([2, 2, 2, 2]);
        Assert.InRange(Golden.Error(Expected("output_after_last_picture"), output), 0, 1e-5);
    }

    [Fact]
    public async Task With_both_gates_at_zero_output_is_input() =>
        Assert.Equal(Expected("text"), await Forward([-1, -1, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2], gates: 0));

    [Theory]
    [InlineData("mpt1b")]
    [InlineData("mpt7b")]
    public async Task With_gates_at_zero_logits_are_the_language_models_own_bit_for_bit(string family)
    {
        using var gated = models.NewDecoder(family, config => config, (entry, bytes) =>
        {
            if (entry.Name.EndsWith("_gate", StringComparison.Ordinal)) bytes.Clear();
        });
        using var bare = models.NewDecoder(family, config => config with { CrossAttention = config.CrossAttention with { Layers = [] } },
            ignore: name => name.Contains("gated_cross_attention", StringComparison.Ordinal));
        foreach (var name in new[] { "three-shot", "text-then-picture", "no-picture" })
        {
            var prompt = Golden.Sequence(family, name, room: 0);
            using var runner = models.NewRunner(gated, family);
            using var bareRunner = models.NewRunner(bare, family);
            var expected = await bareRunner.LogitsAsync(
                prompt with { Pictures = [.. prompt.Pictures.Select(_ => -1)], Keys = [] }, TestContext.Current.CancellationToken);
            var actual = await runner.LogitsAsync(prompt, TestContext.Current.CancellationToken);
            Assert.True(expected.ToFloats().AsSpan().SequenceEqual(actual.ToFloats()), name);
        }
    }

    private static float[] Expected(string name) => Golden.Tensor(["modules.safetensors"], $"gated_last.{name}").Values;

    /// <param name="pictures">For each row the picture that it attends to, or −1.</param>
    private Task<float[]> Forward(int[] pictures, float? gates = null)
    {
        var path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.safetensors");
        WriteCanonical(path, gates);
        return models.Thread.RunAsync(() =>
        {
            using var file = SafetensorsFile.Open(path);
            File.Delete(path);
            var weights = new WeightsReader(file, CPU, ScalarType.Float32);
            using var block = new GatedCrossAttention(Config, 48, weights, "block");
            weights.Finish();
            var text = tensor(Expected("text"), [12, 48]).slice(0, 0, pictures.Length, 1);
            var latents = tensor(Expected("latents"), [3, 16, 32]);
            using var store = new BlockStore(1, 3, Config.Heads, 16, Config.HeadWidth, ScalarType.Float32, CPU);
            for (var picture = 0; picture < 3; picture++) block.Project(latents[picture], store[0], picture);
            var rows = new AttentionRows([0, 1, 2], [.. pictures.Select(picture => picture < 0 ? default : new AttentionRow(picture, 16))]);
            return block.Forward(text, 0, store[0], rows, new PlainAttention()).ToData(TensorDtype.Float32).ToFloats();
        }, TestContext.Current.CancellationToken);
    }

    private static void WriteCanonical(string path, float? gates)
    {
        using var source = SafetensorsFile.Open(RepositoryFiles.Path("tests", "reference", "modules.safetensors"));
        var (header, data) = (new Dictionary<string, object>(), new MemoryStream());
        foreach (var (original, canonical) in Names)
        {
            var entry = source.Entries[$"weights.gated_last.{original}"];
            var bytes = source.Read(entry).ToArray();
            if (gates is { } gate && canonical.EndsWith("_gate", StringComparison.Ordinal))
                BinaryPrimitives.WriteSingleLittleEndian(bytes, gate);
            header[$"block.{canonical}"] =
                new { dtype = "F32", shape = entry.Shape, data_offsets = new[] { data.Length, data.Length + bytes.Length } };
            data.Write(bytes);
        }

        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        using var file = File.Create(path);
        file.Write(BitConverter.GetBytes((long)json.Length));
        file.Write(json);
        data.WriteTo(file);
    }
}
