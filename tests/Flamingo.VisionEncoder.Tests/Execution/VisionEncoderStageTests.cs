using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Execution;
using Flamingo.VisionEncoder.Network;
using TorchSharp;

namespace Flamingo.VisionEncoder.Tests.Execution;

public sealed class VisionEncoderStageTests(Models models)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("mpt1b", "pixels", "features")]
    [InlineData("mpt7b", "pixels", "features")]
    [InlineData("neox", "pixels", "features")]
    [InlineData("pythia", "pixels", "features")]
    [InlineData("llama", "pixels", "features")]
    [InlineData("idefics", "pixels", "features")]
    [InlineData("shapes", "episode0.pixels", "episode0.features")]
    [InlineData("shapes", "episode120.pixels", "episode120.features")]
    [InlineData("shapes", "episode300.pixels", "episode300.features")]
    [InlineData("shapes", "episode440.pixels", "episode440.features")]
    public async Task Features_from_the_originals_pixels_are_the_originals(string family, string pixels, string features)
    {
        var (values, shape) = Golden.Tensor(family, pixels);
        var model = models.DirectoryOf(family);
        var actual = await models.Thread.RunAsync(() =>
        {
            using var file = model.OpenWeights("vision");
            var weights = new WeightsReader(file, torch.CPU, torch.ScalarType.Float32);
            using var network = new VisionTransformer(model.Config.Vision, weights);
            weights.Finish();
            var batch = torch.tensor(values).view(-1, 3, shape[^2], shape[^1]);
            return network.Forward(batch).Features.contiguous().data<float>().ToArray();
        }, Cancellation);
        Assert.InRange(Golden.Error(Golden.Tensor(family, features).Values, actual), 0, 1e-5);
    }

    /// <summary>
    /// After decoding and resizing, a pixel may differ from Pillow's by a grey level, so features may differ slightly too.
    /// </summary>
    [Theory]
    [InlineData("mpt1b")]
    [InlineData("mpt7b")]
    [InlineData("idefics")]
    public async Task Features_from_files_are_the_originals_but_for_a_grey_level(string family)
    {
        var (values, _) = Golden.Tensor(family, "features");
        var stage = models.Stage(family);
        var encoding = await stage.EncodeAsync(new(Pictures), Cancellation);
        Assert.Equal(stage.Description.WeightsDigest, encoding.WeightsDigest);
        var size = values.Length / 5;
        foreach (var (index, picture) in encoding.Pictures.Index())
        {
            Assert.Equal([1, stage.Description.Patches, stage.Description.Width], picture.Features.Shape);
            Assert.InRange(Golden.Error(values.AsSpan(index * size, size), picture.Features.ToFloats()), 0, 2e-2);
            Assert.Null(picture.Pooled);
        }

        Assert.Equal(5, encoding.Pictures.Count);
    }

    [Fact]
    public async Task Pooled_embeddings_come_when_asked_for()
    {
        var stage = models.Stage("shapes");
        var encoding = await stage.EncodeAsync(new(Pictures, IncludePooled: true), Cancellation);
        var pooled = encoding.Pictures.Select(picture => picture.Pooled!).ToArray();
        Assert.All(pooled, item => Assert.Equal([128], item.Shape));
        Assert.All(pooled.SelectMany(item => item.ToFloats()), value => Assert.True(float.IsFinite(value)));
        Assert.Equal(5, pooled.Select(item => item.ToFloats()[0]).Distinct().Count());
    }

    [Fact]
    public async Task Tensors_do_not_outlive_their_call()
    {
        using var thread = new InferenceThread(2);
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new(), thread);
        Task<long> Live() => thread.RunAsync(() => DisposeScopeManager.Statistics.ThreadTotalLiveCount, Cancellation);
        await stage.EncodeAsync(new(Pictures, IncludePooled: true), Cancellation);
        var before = await Live();
        for (var call = 0; call < 20; call++) await stage.EncodeAsync(new(Pictures, IncludePooled: true), Cancellation);
        Assert.Equal(before, await Live());
    }

    [Fact]
    public async Task A_cancelled_call_computes_nothing()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => models.Stage("mpt1b").EncodeAsync(new(Pictures), new CancellationToken(canceled: true)));
        Assert.Single((await models.Stage("mpt1b").EncodeAsync(new([Pictures[0]]), Cancellation)).Pictures);
    }

    [Fact]
    public void Weights_that_do_not_fit_make_one_report()
    {
        var model = models.Altered("mpt7b",
            config => config with { Vision = config.Vision with { Layers = 3, PatchSize = 16, PooledWidth = 0 } });
        var exception = Assert.Throws<CheckpointException>(() => models.NewStage(model, new()));
        Assert.Contains("missing: transformer.resblocks.2.mlp.c_fc.weight", exception.Message, StringComparison.Ordinal);
        Assert.Contains("misshapen: conv1.weight", exception.Message, StringComparison.Ordinal);
        Assert.Contains("misshapen: positional_embedding", exception.Message, StringComparison.Ordinal);
        Assert.Contains("unexpected: proj", exception.Message, StringComparison.Ordinal);
    }

    private static VisualInput[] Pictures => [.. Enumerable.Range(0, 5).Select(number => VisualInput.Still(Golden.Picture(number)))];
}
