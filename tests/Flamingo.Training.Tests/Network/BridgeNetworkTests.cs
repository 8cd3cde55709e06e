using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Fixtures.Reference;
using Flamingo.Testing;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Network;

/// <summary>
/// Training's network computes what the original computes. Tests of the services hold serving's network to the same values within the same
/// tolerance, so both are held to each other.
/// </summary>
public sealed class BridgeNetworkTests(Models models)
{
    private const double Tolerance = 1e-5; // of the largest value

    public static TheoryData<string, string> Goldens => new()
    {
        { "mpt1b", "golden" }, { "mpt7b", "golden" }, { "neox", "golden" }, { "pythia", "golden" }, { "llama", "golden" },
        { "idefics", "golden" }, { "idefics", "golden_after_end" },
    };

    [Theory]
    [MemberData(nameof(Goldens))]
    public void Logits_are_the_originals_alone_and_beside_longer_prompts(string family, string golden)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (model, prompts) = (models.DirectoryOf(family), new GoldenBatch(family, golden));
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        var latents = GoldenBatch.ToTensor(prompts.Latents);
        var all = Enumerable.Range(0, prompts.Names.Count).ToArray();
        foreach (var batch in all.Select(prompt => new[] { prompt }).Append(all))
        {
            var logits = Logits(model, weights, latents, prompts.Of(batch));
            foreach (var (row, prompt) in batch.Index())
            {
                var actual = logits[row].slice(0, 0, prompts.Ids[prompt].Length, 1).contiguous().data<float>().ToArray();
                var error = ReferenceTensors.Error(prompts.Logits(prompt), actual);
                Assert.True(error < Tolerance, $"{family} {prompts.Names[prompt]} of {batch.Length}: {error:e2} of the largest logit");
            }
        }
    }

    [Theory]
    [InlineData("mpt1b")]
    [InlineData("mpt7b")]
    [InlineData("neox")]
    [InlineData("pythia")]
    [InlineData("llama")]
    [InlineData("idefics")]
    public void Latents_are_the_originals(string family)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var (model, prompts) = (models.DirectoryOf(family), new GoldenBatch(family));
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        var latents = new BridgeNetwork(model.Config, weights).Resample(GoldenBatch.ToTensor(prompts.Features));
        Assert.InRange(ReferenceTensors.Error(prompts.Latents.Values, latents.contiguous().data<float>().ToArray()), 0, Tolerance);
    }

    [Fact]
    public void Shapes_latents_and_logits_are_the_originals()
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var model = models.DirectoryOf("shapes");
        using var weights = new BridgeWeights(model, ScalarType.Float32);
        var file = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation", "golden.safetensors");
        using var json = JsonDocument.Parse(File.ReadAllBytes(
            RepositoryFiles.Path("tests", "reference", "shapes", "evaluation", "golden_tensors.json")));
        // The golden has the features of one picture of each episode, so this is the episode that has no other.
        var episode = json.RootElement.EnumerateArray().Single(one => one.GetProperty("pictures").GetArrayLength() == 1);
        var name = $"episode{episode.GetProperty("episode").GetInt32()}";
        var features = GoldenBatch.ToTensor(ReferenceTensors.Read(file, $"{name}.features")).unsqueeze(0);
        var latents = new BridgeNetwork(model.Config, weights).Resample(features);
        Assert.InRange(ReferenceTensors.Error(
            ReferenceTensors.Read(file, $"{name}.latents").Values, latents.contiguous().data<float>().ToArray()), 0, Tolerance);
        var ids = FamilyGolden.Ids(episode.GetProperty("ids"));
        var logits = Logits(model, weights, latents, new TrainingBatch([ids], [ids], [[0]]));
        Assert.InRange(ReferenceTensors.Error(
            ReferenceTensors.Read(file, $"{name}.logits").Values, logits.contiguous().data<float>().ToArray()), 0, Tolerance);
    }

    /// <returns>[sequences, tokens, vocabulary]</returns>
    private static Tensor Logits(ModelDirectory model, BridgeWeights weights, Tensor latents, TrainingBatch batch)
    {
        var network = new BridgeNetwork(model.Config, weights);
        var (step, x) = (network.Prepare(batch), network.Embed(batch));
        for (var layer = 0; layer < model.Config.Language.Layers; layer++) x = network.Layer(layer, x, latents, step);
        long[] places = [.. Enumerable.Range(0, batch.Ids.Length * batch.Length)];
        return network.Logits(x, places).view(batch.Ids.Length, batch.Length, -1);
    }
}
