using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Runtime;
using Flamingo.Resampler.Execution;
using Flamingo.Stages;
using TorchSharp;

namespace Flamingo.Resampler.Tests.Execution;

public sealed class ResamplerStageTests(Models models)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("mpt1b")]
    [InlineData("mpt7b")]
    [InlineData("neox")]
    [InlineData("pythia")]
    [InlineData("llama")]
    [InlineData("idefics")]
    public async Task Latents_of_the_families_are_the_originals(string family)
    {
        var stage = models.Stage(family);
        var resampling = await stage.ResampleAsync(new(Frames(family)), Cancellation);
        Assert.Equal(stage.Description.WeightsDigest, resampling.WeightsDigest);
        foreach (var (expected, actual) in Golden.Rows(family, "latents").Zip(resampling.Latents))
        {
            Assert.Equal([stage.Description.Latents, stage.Description.Width], actual.Shape);
            Assert.InRange(Golden.Error(expected.ToFloats(), actual.ToFloats()), 0, 1e-5);
        }
    }

    [Theory]
    [InlineData("episode0")]
    [InlineData("episode120")]
    [InlineData("episode300")]
    [InlineData("episode440")]
    public async Task Latents_of_the_trained_model_are_the_originals(string episode)
    {
        var (features, shape) = Golden.Tensor("shapes", $"{episode}.features");
        var resampling = await models.Stage("shapes")
            .ResampleAsync(new([TensorData.FromFloats(features, 1, shape[0], shape[1])]), Cancellation);
        Assert.InRange(Golden.Error(Golden.Tensor("shapes", $"{episode}.latents").Values, resampling.Latents[0].ToFloats()), 0, 1e-5);
    }

    /// <summary>
    /// The golden file holds the attention weights of all layers and heads for the last picture of each prompt. Two of these pictures also
    /// have golden features.
    /// </summary>
    [Theory]
    [InlineData("episode0")]
    [InlineData("episode300")]
    public async Task Attention_is_the_originals_last_layer_over_the_patches(string episode)
    {
        // [layers, heads, latents, patches + latents]
        var (weights, full) = Golden.Tensor("attention", $"{episode}.resampler_attention");
        var (features, shape) = Golden.Tensor("shapes", $"{episode}.features");
        Assert.Equal(full[3], shape[0] + full[2]);
        var resampling = await models.Stage("shapes")
            .ResampleAsync(new([TensorData.FromFloats(features, 1, shape[0], shape[1])], IncludeAttention: true), Cancellation);
        var attention = Assert.Single(resampling.Attention);
        Assert.Equal([full[2], shape[0]], attention.Shape);
        var expected = new float[full[2] * shape[0]];
        for (var latent = 0; latent < full[2]; latent++)
        {
            double Weight(int head, int patch) => weights[(((((full[0] - 1) * full[1]) + head) * full[2]) + latent) * full[3] + patch];
            var row = Enumerable.Range(0, shape[0])
                .Select(patch => Enumerable.Range(0, full[1]).Average(head => Weight(head, patch))).ToArray();
            for (var patch = 0; patch < shape[0]; patch++) expected[(latent * shape[0]) + patch] = (float)(row[patch] / row.Sum());
        }

        Assert.InRange(Golden.Error(expected, attention.ToFloats()), 0, 1e-5);
    }

    [Fact]
    public async Task Attention_is_told_only_where_asked_and_changes_no_latent()
    {
        var features = Frames("mpt1b");
        var plain = await models.Stage("mpt1b").ResampleAsync(new(features), Cancellation);
        using var turns = models.NewStage(models.DirectoryOf("mpt1b"), new ResamplerOptions { BatchSize = features.Length });
        var told = await turns.ResampleAsync(new(features, IncludeAttention: true), Cancellation);
        Assert.Empty(plain.Attention);
        Assert.Equal(features.Length, told.Attention.Count);
        foreach (var (expected, actual) in plain.Latents.Zip(told.Latents))
            Assert.True(expected.Bytes.Span.SequenceEqual(actual.Bytes.Span));
        foreach (var attention in told.Attention)
        {
            Assert.Equal([turns.Description.Latents, features[0].Shape[1]], attention.Shape);
            foreach (var row in attention.ToFloats().Chunk(features[0].Shape[1])) Assert.InRange(row.Sum(), 1 - 1e-5, 1 + 1e-5);
        }
    }

    /// <summary>
    /// The features of IDEFICS include the class token, which is not a patch, so each row of the attention is scaled without it.
    /// </summary>
    [Fact]
    public async Task Attention_is_over_patches_alone_where_features_hold_the_class_token()
    {
        var (features, stage) = (Frames("idefics"), models.Stage("idefics"));
        using var counting = models.NewStage(models.Altered("idefics", config =>
            config with { Vision = config.Vision with { ClassTokenInFeatures = false } }), new ResamplerOptions());
        var (alone, counted) = (await stage.ResampleAsync(new(features, IncludeAttention: true), Cancellation),
            await counting.ResampleAsync(new(features, IncludeAttention: true), Cancellation));
        Assert.Equal(17, features[0].Shape[1]);
        foreach (var (patches, all) in alone.Attention.Zip(counted.Attention))
        {
            Assert.Equal([stage.Description.Latents, 16], patches.Shape);
            foreach (var (row, withClass) in patches.ToFloats().Chunk(16).Zip(all.ToFloats().Chunk(17)))
            {
                var rest = withClass[1..].Sum();
                Assert.InRange(rest, 0.01, 0.99);
                Assert.Equal(withClass[1..].Select(weight => weight / rest), row, (expected, actual) => Math.Abs(expected - actual) < 1e-5);
            }
        }
    }

    [Fact]
    public async Task Pictures_of_different_patch_counts_come_back_in_the_order_they_came()
    {
        var whole = Frames("mpt1b");
        var half = whole.Select(item => TensorData.FromFloats(item.ToFloats().AsSpan(0, 8 * 32), 1, 8, 32)).ToArray();
        TensorData[] mixed = [whole[0], half[1], whole[2], half[3]];
        var latents = (await models.Stage("mpt1b").ResampleAsync(new(mixed), Cancellation)).Latents;
        foreach (var (item, actual) in mixed.Zip(latents))
        {
            var alone = (await models.Stage("mpt1b").ResampleAsync(new([item]), Cancellation)).Latents[0];
            Assert.True(alone.Bytes.Span.SequenceEqual(actual.Bytes.Span));
        }
    }

    [Fact]
    public async Task Latents_leave_rounded_to_the_latent_dtype()
    {
        var model = models.Altered("mpt1b", config => config with { Resampler = config.Resampler with { LatentDtype = "bfloat16" } });
        using var stage = models.NewStage(model, new());
        var rounded = (await stage.ResampleAsync(new(Frames("mpt1b")), Cancellation)).Latents[0];
        var exact = (await models.Stage("mpt1b").ResampleAsync(new(Frames("mpt1b")), Cancellation)).Latents[0];
        Assert.Equal(TensorDtype.BFloat16, stage.Description.LatentDtype);
        Assert.Equal(TensorDtype.BFloat16, rounded.Dtype);
        Assert.InRange(Golden.Error(exact.ToFloats(), rounded.ToFloats()), 1e-6, 1.0 / 256);
    }

    [Fact]
    public async Task All_faults_of_a_call_are_named_at_once()
    {
        var good = Frames("mpt1b")[0];
        var video = TensorData.FromFloats(new float[2 * 16 * 32], 2, 16, 32);
        var narrow = TensorData.FromFloats(new float[16 * 16], 1, 16, 16);
        var flat = TensorData.FromFloats(new float[32], 32);
        var exception = await Assert.ThrowsAsync<FlamingoException>(
            () => models.Stage("mpt1b").ResampleAsync(new([good, video, narrow, flat]), Cancellation));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, exception.Kind);
        Assert.Equal(["features[1]", "features[2]", "features[3]"], exception.Faults.Select(fault => fault.Field));
        Assert.Contains("2 frames", exception.Faults[0].Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task Too_few_and_too_many_items_are_refused(int count)
    {
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new ResamplerOptions { MaxItems = 2 });
        var items = Enumerable.Repeat(Frames("mpt1b")[0], count).ToArray();
        var exception = await Assert.ThrowsAsync<FlamingoException>(() => stage.ResampleAsync(new(items), Cancellation));
        Assert.Equal("features", Assert.Single(exception.Faults).Field);
    }

    [Fact]
    public async Task Tensors_do_not_outlive_their_call()
    {
        using var thread = new InferenceThread(2);
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new(), thread);
        Task<long> Live() => thread.RunAsync(() => DisposeScopeManager.Statistics.ThreadTotalLiveCount, Cancellation);
        await stage.ResampleAsync(new(Frames("mpt1b")), Cancellation);
        var before = await Live();
        for (var call = 0; call < 20; call++) await stage.ResampleAsync(new(Frames("mpt1b")), Cancellation);
        Assert.Equal(before, await Live());
    }

    [Fact]
    public async Task A_cancelled_call_computes_nothing()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => models.Stage("mpt1b").ResampleAsync(new(Frames("mpt1b")), new CancellationToken(canceled: true)));
        Assert.Single((await models.Stage("mpt1b").ResampleAsync(new([Frames("mpt1b")[0]]), Cancellation)).Latents);
    }

    [Fact]
    public void Weights_that_do_not_fit_make_one_report()
    {
        var model = models.Altered("mpt7b",
            config => config with { Resampler = config.Resampler with { Latents = 17, Layers = 7, FrameEmbeddings = 3 } });
        var exception = Assert.Throws<CheckpointException>(() => models.NewStage(model, new()));
        Assert.Contains("misshapen: latents", exception.Message, StringComparison.Ordinal);
        Assert.Contains("missing: frame_embs", exception.Message, StringComparison.Ordinal);
        Assert.Contains("missing: layers.6.1.3.weight", exception.Message, StringComparison.Ordinal);
    }

    private static TensorData[] Frames(string family) => [.. Golden.Rows(family, "features").Select(Golden.AsFrame)];
}
