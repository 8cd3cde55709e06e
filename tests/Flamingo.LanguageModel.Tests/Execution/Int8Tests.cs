using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static Flamingo.LanguageModel.Tests.Execution.LanguageModelStageTests;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>Weights held as int8, compared with the golden values of the original models, which are f32.</summary>
public sealed class Int8Tests(Models models, ITestOutputHelper output)
{
    // Relative to the largest logit; the tolerance of f32 is 1e-5. The test models have random weights of width 64, where errors
    // average out less than in a trained model.
    private const double Tolerance = 0.1;

    public static TheoryData<string> Families => [.. Golden.Families];

    [Theory(Timeout = 120_000), MemberData(nameof(Families))]
    public async Task Logits_are_near_the_originals_and_not_the_same(string family)
    {
        await using var stage = models.NewStage(models.DirectoryOf(family), new LanguageModelOptions(), storage: "int8");
        var worst = 0.0;
        foreach (var prompt in Golden.Prompts(family))
        {
            var name = prompt.GetProperty("name").GetString()!;
            var logits = await stage.Runner.LogitsAsync(Golden.Sequence(family, name, room: 0), TestContext.Current.CancellationToken);
            worst = Math.Max(
                worst, Golden.Error(Golden.Tensor(["families", family, "golden.safetensors"], $"logits.{name}").Values, logits.ToFloats()));
        }

        output.WriteLine($"{family}: {worst:e2} of the largest logit");
        Assert.True(worst is > 1e-5 and < Tolerance, $"{family}: {worst:e2} of the largest logit");
    }

    [Theory(Timeout = 120_000), MemberData(nameof(Families))]
    public async Task Nothing_but_the_rounding_of_weights_makes_the_difference(string family)
    {
        using var file = models.DirectoryOf(family).OpenWeights("language");
        var expanded = models.Variant(
            $"{family}-expanded", family, config => config,
            (name, tensor) =>
                WeightsReader.IsMatrix(file.Entries[name]) ? tensor with { Dtype = "F32", Read = () => Expanded(file, name) } : tensor);
        await using var native = models.NewStage(expanded, new LanguageModelOptions());
        await using var int8 = models.NewStage(models.DirectoryOf(family), new LanguageModelOptions(), storage: "int8");
        foreach (
            var prompt in Golden.Prompts(family)
                .Select(prompt => Golden.Sequence(family, prompt.GetProperty("name").GetString()!, room: 0)))
        {
            var logits = await Task.WhenAll(
                native.Runner.LogitsAsync(prompt, TestContext.Current.CancellationToken),
                int8.Runner.LogitsAsync(prompt, TestContext.Current.CancellationToken));
            Assert.InRange(Golden.Error(logits[0].ToFloats(), logits[1].ToFloats()), 0, 1e-5);
        }
    }

    [Theory, MemberData(nameof(Families))]
    public void What_was_announced_is_what_is_held(string family)
    {
        var model = models.DirectoryOf(family);
        using var file = model.OpenWeights("language");
        foreach (var storage in Enum.GetValues<WeightStorage>())
        {
            var weights = new WeightsReader(file, torch.CPU, torch.ScalarType.BFloat16, storage);
            using var decoder = new Decoder(model.Config.Language, weights, torch.CPU);
            weights.Finish();
            Assert.Equal(WeightsReader.BytesOf(file, torch.ScalarType.BFloat16, storage), weights.HeldBytes);
        }
    }

    [Fact]
    public async Task Every_way_to_hold_and_compute_weights_has_a_digest_of_its_own()
    {
        var digests = new List<string>();
        foreach (var dtype in new[] { "float32", "bfloat16" })
        {
            foreach (var storage in new[] { "native", "int8" })
            {
                await using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new LanguageModelOptions(), dtype, storage: storage);
                digests.Add(stage.Description.WeightsDigest);
            }
        }

        Assert.Equal(4, digests.Distinct().Count());
        Assert.Equal(models.DirectoryOf("mpt1b").Config.Weights["language"].Digest, digests[0]);
    }

    [Theory(Timeout = 120_000)]
    [InlineData("mpt1b")]
    [InlineData("llama")]
    public async Task An_answer_is_the_same_in_every_batch_and_at_every_start(string family)
    {
        string[] names = ["one-picture", "three-shot", "vqa", "picture-last"];
        var requests = Enumerable.Range(0, 40).Select(index => new Stages.LanguageModelRequest(
            Golden.Segments(family, names[index % names.Length]), new()
            {
                MaxTokens = 3 + (index % 13), Temperature = index % 3 * 0.8f, Seed = (ulong)index
            }) { Tenant = Models.Tenant($"{index}") }).ToList();
        var alone = new List<List<int>>();
        await using (var stage = models.NewStage(models.DirectoryOf(family), new LanguageModelOptions(), storage: "int8"))
            foreach (var request in requests) alone.Add((await Generate(stage, request)).Ids);
        await using (var stage = models.NewStage(models.DirectoryOf(family), new LanguageModelOptions(), storage: "int8"))
            Assert.Equal(alone, await Task.WhenAll(requests.Select(request => Task.Run(async () => (await Generate(stage, request)).Ids))));
        Assert.Contains(alone, ids => ids.Count > 3);
        Assert.False(TestContext.Current.CancellationToken.IsCancellationRequested);
    }

    private static byte[] Expanded(SafetensorsFile file, string name)
    {
        using var scope = torch.NewDisposeScope();
        var (outputs, inputs) = (file.Entries[name].Shape[0], file.Entries[name].Shape[1]);
        using var matrix =
            new WeightsReader(file, torch.CPU, torch.ScalarType.Float32, WeightStorage.Int8).TakeMatrix(name, outputs, inputs);
        return matrix.Expand().bytes.ToArray();
    }
}
