using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine;
using Flamingo.Stages;
using Flamingo.Testing;

namespace Flamingo.LanguageModel.Tests.Network;

public sealed class DecoderGoldenTests(Models models)
{
    private const double Tolerance = 1e-5;

    public static TheoryData<string, string> AllPrompts => Golden.Names();

    [Theory]
    [MemberData(nameof(AllPrompts))]
    public async Task Logits_are_the_originals(string family, string name)
    {
        var logits = await models.Stage(family).Runner
            .LogitsAsync(Golden.Sequence(family, name, room: 0), TestContext.Current.CancellationToken);
        var (expected, shape) = Golden.Logits(family, name);
        Assert.Equal(shape, logits.Shape);
        var error = Golden.Error(expected, logits.ToFloats());
        Assert.True(error < Tolerance, $"{family} {name}: {error:e2} of the largest logit");
    }

    [Fact]
    public async Task Shapes_logits_are_the_originals()
    {
        string[] file = ["shapes", "evaluation", "golden.safetensors"];
        var golden = JsonDocument.Parse(
            await File.ReadAllTextAsync(
                RepositoryFiles.Path("tests", "reference", "shapes", "evaluation", "golden_tensors.json"),
                TestContext.Current.CancellationToken));
        // the golden values contain latents for one picture of each episode
        var episode = golden.RootElement.EnumerateArray().Single(entry => entry.GetProperty("pictures").GetArrayLength() == 1);
        var number = episode.GetProperty("episode").GetInt32();
        var (latents, shape) = Golden.Tensor(file, $"episode{number}.latents");
        var ids = Golden.Ids(episode.GetProperty("ids"));
        var prompt = new SequencePrompt(
            ids, new int[ids.Length], ["picture"], new Dictionary<string,
            TensorData> { ["picture"] = TensorData.FromFloats(latents, shape) }, ids.Length);
        var logits = await models.Stage("shapes").Runner.LogitsAsync(prompt, TestContext.Current.CancellationToken);
        var error = Golden.Error(Golden.Tensor(file, $"episode{number}.logits").Values, logits.ToFloats());
        Assert.True(error < Tolerance, $"{error:e2} of the largest logit");
    }
}
