using Flamingo.Checkpoints;
using Flamingo.Cli.Tests.Running;
using Flamingo.Cli.Tests.Serving;
using Flamingo.Import;
using Flamingo.Testing;
using Flamingo.Training.Network;
using static TorchSharp.torch;

namespace Flamingo.Cli.Tests.Training;

/// <summary><c>flamingo train</c> from published parts, with a new bridge between them.</summary>
public sealed class PartsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public PartsTests() => TinyShapes.Examples(_folder.Path);

    [Fact(Timeout = 240_000)]
    public async Task A_bridge_between_parts_is_trained_goes_on_after_a_kill_and_its_export_is_read_back()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        string[] Command(params string[] more) =>
        [
            "train", "--vision", Part("vision"), "--language", Part("language"), "--cross-attention-every", "2", "--latents", "8",
            "--resampler-depth", "1", "--data", "examples.jsonl", "--output", "bridge", "--steps", "200", "--batch-tokens", "150",
            "--save-every", "20", "--export-openflamingo", "bridge.pt", .. more,
        ];
        await using (var killed = SpawnedCommand.Start(_folder.Path, [("OMP_NUM_THREADS", "1")], Command()))
            await killed.SaidAsync("step 50/200"); // Disposing kills it.
        var ended = await FlamingoCommand.SpawnAsync(
            _folder.Path, "", new Dictionary<string, string> { ["OMP_NUM_THREADS"] = "1" }, Command("--resume"));
        Assert.Matches(@"Going on after step \d+\.", ended.MustReturn(0).Output);
        Assert.Matches("(?m)^Speed: a token takes ", ended.Output);

        var trained = ModelDirectory.Open(_folder.File("bridge"));
        Assert.Equal(("openflamingo-parts", 8), (trained.Config.Provenance.Layout, trained.Config.Resampler.Latents));
        OpenFlamingoImport.Run(new OpenFlamingoSource(Part("vision"), Part("language"), _folder.File("bridge.pt"), 2),
            _folder.File("back"), null, TestContext.Current.CancellationToken);
        var back = ModelDirectory.Open(_folder.File("back"));
        using var weights = new BridgeWeights(trained, ScalarType.Float32);
        using var readBack = new BridgeWeights(back, ScalarType.Float32);
        Assert.Equal(weights.Trained.Keys, readBack.Trained.Keys);
        // The two rows of the embedding are stored in the dtype of its other rows, which the export widens.
        Assert.All(weights.Trained, one => Assert.True(one.Value.allclose(
            readBack.Trained[one.Key], one.Key == BridgeWeights.Rows ? 1e-2 : 0, one.Key == BridgeWeights.Rows ? 1e-3 : 0), one.Key));
    }

    public void Dispose() => _folder.Dispose();

    private static string Part(string name) => RepositoryFiles.Path("tests", "reference", "families", "mpt7b", name);
}
