using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using Flamingo.Testing;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Start;

/// <summary>A model that is put together from a CLIP and a language model, before any training.</summary>
public sealed class BridgeAssemblyTests(Models models)
{
    public static TheoryData<string> Families => ["mpt1b", "mpt7b", "neox", "pythia", "llama"];

    [Theory]
    [MemberData(nameof(Families))]
    public void Frozen_parts_are_those_of_the_publications(string family)
    {
        var (made, imported) = (Assemble(family), models.DirectoryOf(family));
        Assert.Equal(imported.Config.Weights["vision"], made.Config.Weights["vision"]);
        var (tokens, expected) = (made.Config.Tokens, imported.Config.Tokens);
        Assert.Equal((expected.Image, expected.EndOfChunk, expected.Padding, expected.Beginning),
            (tokens.Image, tokens.EndOfChunk, tokens.Padding, tokens.Beginning));
        Assert.Equal(expected.Stop, tokens.Stop);
        Assert.Equal(File.ReadAllText(imported.TokenizerPath), File.ReadAllText(made.TokenizerPath));
        using var a = made.OpenWeights("language");
        using var b = imported.OpenWeights("language");
        foreach (var name in b.Entries.Keys.Where(name =>
            !BridgeWeights.IsGated(name) && name is not ("token_embedding.weight" or "output.weight")))
            Assert.True(b.Read(b.Entries[name]).SequenceEqual(a.Read(a.Entries[name])), name);
        // The embeddings are the language model's own, not those that OpenFlamingo trained.
        using var published = WeightSource.Open(Source(family, "language"));
        var embedding = published.Tensors[family switch
        {
            "mpt1b" or "mpt7b" => "transformer.wte.weight", "llama" => "model.embed_tokens.weight", _ => "gpt_neox.embed_in.weight",
        }].Read();
        var own = a.Read(a.Entries["token_embedding.weight"]);
        Assert.True(own.SequenceEqual(embedding.AsSpan(0, own.Length)));
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Before_training_logits_are_the_language_models_bit_for_bit(string family)
    {
        var model = Assemble(family);
        using var scope = NewDisposeScope();
        using var gated = NewDecoder(model, config => config, bare: false);
        using var bare = NewDecoder(
            model, config => config with { CrossAttention = config.CrossAttention with { Layers = [] } }, bare: true);
        var image = model.Config.Tokens.Image.Id;
        int[] ids = [5, image, 66, 300, image, 7, 8, model.Config.Tokens.EndOfChunk.Id, 9];
        int[] pictures = [-1, 0, 0, 0, 1, 1, 1, 1, 1];
        var expected = Logits(model, bare, ids, [.. pictures.Select(_ => -1)]);
        var actual = Logits(model, gated, ids, pictures);
        Assert.True(MemoryMarshal.AsBytes<float>(expected).SequenceEqual(MemoryMarshal.AsBytes<float>(actual)));
    }

    [Fact]
    public void Equal_seeds_give_equal_models_and_others_give_others()
    {
        var (one, same, other) = (Assemble("mpt7b"), Assemble("mpt7b"), Assemble("mpt7b", seed: 4));
        Assert.Equal(one.Config.Weights, same.Config.Weights);
        Assert.NotEqual(one.Config.Weights["resampler"].Digest, other.Config.Weights["resampler"].Digest);
        Assert.NotEqual(one.Config.Weights["language"].Digest, other.Config.Weights["language"].Digest);
        Assert.Contains(
            "new bridge of 24 latents and 3 resampler layers, seed 3", one.Config.Provenance.Settings, StringComparison.Ordinal);
        Assert.All(one.Config.Provenance.Sources, source => Assert.Equal(64, source.Sha256.Length));
        Assert.Contains(one.Config.Provenance.Sources, source => source.File == "open_clip_pytorch_model.bin");
    }

    [Fact]
    public void New_weights_have_the_original_initial_values()
    {
        var model = Assemble("neox");
        Assert.Equal((24, 3, 8, 64), (model.Config.Resampler.Latents, model.Config.Resampler.Layers, model.Config.Resampler.Heads,
            model.Config.Resampler.HeadWidth));
        using var resampler = model.OpenWeights("resampler");
        using var language = model.OpenWeights("language");
        var (latents, width) = (Values(resampler, "latents"), model.Config.Resampler.Width);
        Assert.InRange(latents.Average(), -0.15, 0.15);
        Assert.InRange(latents.Average(value => value * value), 0.85, 1.15);
        // torch's default of a linear layer is uniform between plus and minus one over the root of its inputs.
        var (linear, bound) = (Values(resampler, "layers.2.0.to_kv.weight"), 1 / Math.Sqrt(width));
        Assert.InRange(linear.Max(), 0.99 * bound, bound);
        Assert.InRange(linear.Min(), -bound, -0.99 * bound);
        Assert.InRange(linear.Average(value => value * value), 0.97 * bound * bound / 3, 1.03 * bound * bound / 3);
        Assert.All(Values(resampler, "norm.weight"), value => Assert.Equal(1, value));
        Assert.All(Values(resampler, "norm.bias"), value => Assert.Equal(0, value));
        foreach (var gate in language.Entries.Keys.Where(name => name.EndsWith("_gate", StringComparison.Ordinal)))
            Assert.Equal([0f], Values(language, gate));
        Assert.NotEqual(Values(resampler, "layers.0.0.to_q.weight"), Values(resampler, "layers.1.0.to_q.weight"));
    }

    [Fact]
    public void Rows_of_added_tokens_are_as_large_as_the_others()
    {
        // A language model without spare rows: LLaMA's three added tokens have none.
        var language = models.NewFolder();
        RepositoryFiles.Copy(Source("llama", "language"), language);
        using (var published = WeightSource.Open(Source("llama", "language")))
        {
            var cut = published.Tensors.ToDictionary(one => one.Key, one => one.Key is "model.embed_tokens.weight" or "lm_head.weight"
                ? one.Value with { Shape = [541, 64], Read = () => one.Value.Read()[..(541 * 64 * 4)] } : one.Value);
            Assert.Equal("F32", cut["lm_head.weight"].Dtype);
            SafetensorsWriter.Write(
                Path.Combine(language, "model.safetensors"), cut, null, (_, _) => { }, [], TestContext.Current.CancellationToken);
        }

        var model = BridgeAssembly.Run(new BridgeParts(Source("llama", "vision"), language, 2), Path.Combine(models.NewFolder(), "model"),
            null, TestContext.Current.CancellationToken);
        Assert.Equal(544, model.Config.Language.VocabularySize);
        Assert.Contains("new rows for the ids 541 to 543", model.Config.Provenance.Note, StringComparison.Ordinal);
        using var file = model.OpenWeights("language");
        foreach (var name in new[] { "token_embedding.weight", "output.weight" })
        {
            var values = Values(file, name);
            double Size(int from, int to) => Math.Sqrt(values[(from * 64)..(to * 64)].Average(value => value * value));
            Assert.InRange(Size(541, 544) / Size(0, 541), 0.7, 1.4);
            Assert.NotEqual(values[(541 * 64)..(542 * 64)], values[(542 * 64)..(543 * 64)]);
        }
    }

    [Theory]
    [InlineData(9, 64, 6, "--cross-attention-every 9 gives no layer a gated block")]
    [InlineData(0, 64, 6, "--cross-attention-every is 0")]
    [InlineData(2, 0, 6, "--latents is 0")]
    [InlineData(2, 64, 0, "--resampler-depth is 0")]
    public void Impossible_settings_are_refused_by_name(int every, int latents, int depth, string message)
    {
        var folder = models.NewFolder();
        var parts = new BridgeParts(Source("mpt7b", "vision"), Source("mpt7b", "language"), every)
        {
            Latents = latents, ResamplerDepth = depth,
        };
        var exception = Assert.Throws<CheckpointException>(() =>
            BridgeAssembly.Run(parts, Path.Combine(folder, "model"), null, TestContext.Current.CancellationToken));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(folder));
    }

    private static string Source(string family, string part) => RepositoryFiles.Path("tests", "reference", "families", family, part);

    private ModelDirectory Assemble(string family, long seed = 3)
    {
        var parts = new BridgeParts(Source(family, "vision"), Source(family, "language"), 2)
        {
            Latents = 24, ResamplerDepth = 3, Seed = seed, CheckTokenizer = file => JsonTokenizer.Load(file),
        };
        return BridgeAssembly.Run(parts, Path.Combine(models.NewFolder(), "model"), null, TestContext.Current.CancellationToken);
    }

    private static float[] Values(SafetensorsFile file, string name) =>
        MemoryMarshal.Cast<byte, float>(file.Read(file.Entries[name])).ToArray();

    private static Decoder NewDecoder(ModelDirectory model, Func<LanguageConfig, LanguageConfig> config, bool bare)
    {
        using var file = model.OpenWeights("language");
        var weights = new WeightsReader(file, CPU, ScalarType.Float32);
        var decoder = new Decoder(config(model.Config.Language), weights, CPU);
        if (bare) weights.Ignore(BridgeWeights.IsGated);
        weights.Finish();
        return decoder;
    }

    /// <param name="pictures">For each token the picture that it sees, or −1.</param>
    private static float[] Logits(ModelDirectory model, Decoder decoder, int[] ids, int[] pictures)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var (latents, width) = (model.Config.Resampler.Latents, model.Config.Resampler.Width);
        using var text = decoder.NewTextStore(1, ids.Length);
        using var store = decoder.NewPictureStore(2, latents);
        foreach (var slot in new[] { 0, 1 })
            decoder.Project(full([latents, width], Scalars.Of(0.5 + slot), ScalarType.Float32), store, slot);
        var step = new DecoderStep(ids, new AttentionRows([0], [.. ids.Index().Select(id => new AttentionRow(0, id.Index + 1))]),
            new AttentionRows([0, 1], [.. pictures.Select(picture => picture < 0 ? default : new AttentionRow(picture, latents))]));
        return decoder.Logits(decoder.Forward(step, text, store, new PlainAttention())).ToData(TensorDtype.Float32).ToFloats();
    }
}
