using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Cli.Tests.Running;
using Flamingo.Import;
using Flamingo.Modeling.Tensors;
using Flamingo.Testing;
using Flamingo.Training.Network;
using Flamingo.Training.Results;
using TorchSharp;

namespace Flamingo.Cli.Tests.Training;

/// <summary>What the other commands make of models that training writes.</summary>
public sealed class ResultTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("mpt7b")]
    [InlineData("llama")]
    public async Task A_result_of_no_steps_computes_what_its_start_computes(string family)
    {
        string Source(string part) => RepositoryFiles.Path("tests", "reference", "families", family, part);
        var start = OpenFlamingoImport.Run(new OpenFlamingoSource(Source("vision"), Source("language"), Source("checkpoint.pt"), 2),
            _folder.File("start"), null, TestContext.Current.CancellationToken);
        using (var weights = new BridgeWeights(start, torch.ScalarType.Float32))
            TrainedModel.Write(start, weights, _folder.File("result"), "no steps", TestContext.Current.CancellationToken);
        var verified = await FlamingoCommand.RunAsync("verify", _folder.File("result"), "--golden",
            RepositoryFiles.Path("tests", "reference", "families", family), "--pictures",
            RepositoryFiles.Path("tests", "reference", "pictures"));
        Assert.Contains("held, 0 broken, 0 skipped", verified.MustReturn(0).Output, StringComparison.Ordinal);
        var told = (await FlamingoCommand.RunAsync("inspect", _folder.File("result"), "--verify")).MustReturn(0);
        Assert.Contains($"openflamingo by {TrainedModel.Tool}", told.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bridge_that_began_with_parts_is_served()
    {
        string Source(string part) => RepositoryFiles.Path("tests", "reference", "families", "pythia", part);
        var start = BridgeAssembly.Run(new BridgeParts(Source("vision"), Source("language"), 2) { Latents = 16, ResamplerDepth = 2 },
            _folder.File("start"), null, TestContext.Current.CancellationToken);
        using (var weights = new BridgeWeights(start, torch.ScalarType.Float32))
        {
            using var frozen = torch.no_grad();
            foreach (var (name, trained) in weights.Trained)
                if (name.EndsWith("_gate", StringComparison.Ordinal)) trained.fill_(Scalars.Of(2.0));
                else if (name.EndsWith(".down.weight", StringComparison.Ordinal)) trained.mul_(Scalars.Of(16.0));
            TrainedModel.Write(start, weights, _folder.File("result"), "gates opened", TestContext.Current.CancellationToken);
        }

        var picture = RepositoryFiles.Path("tests", "reference", "pictures", "picture-0.png");
        string? before = null;
        foreach (var model in new[] { "start", "result" })
        {
            await using var server = new RunningServer { Arguments = ["--model", _folder.File(model)] };
            await server.InitializeAsync();
            var answer = await FlamingoCommand.RunAsync(
                "generate", "--picture", picture, "Output:", "--max-tokens", "6", "--json", "--server", server.Address);
            using var json = JsonDocument.Parse(answer.MustReturn(0).Output);
            var ids = json.RootElement.GetProperty("ids").GetRawText();
            Assert.NotEqual(before, ids);
            before = ids;
        }

        Assert.Equal(BridgeAssembly.Layout, ModelDirectory.Open(_folder.File("result")).Config.Provenance.Layout);
    }
}
