using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Resampler.Execution;
using Flamingo.Resampler.Tests.Network;
using Flamingo.Stages;
using Flamingo.Testing;

namespace Flamingo.Resampler.Tests.Execution;

/// <summary>Resamples clips with a checkpoint of eight frame embeddings, which has the weights of modules.safetensors.</summary>
public sealed class ClipTests(Models models)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Latents_of_clips_are_the_originals_whatever_rides_with_them()
    {
        using var stage = NewStage();
        Assert.Equal(8, stage.Description.MaxFrames);
        string[] names = ["video.1", "video.3", "video.8", "video.3", "video.1"];
        var together = await stage.ResampleAsync(new([.. names.Select(name => Clip(name))]), Cancellation);
        foreach (var (name, latents) in names.Zip(together.Latents))
            Assert.InRange(Golden.Error(Golden.Tensor("modules", $"{name}.latents").Values, latents.ToFloats()), 0, 1e-5);
    }

    [Fact]
    public async Task More_frames_than_there_are_embeddings_for_are_refused_with_the_number()
    {
        using var stage = NewStage();
        var (values, shape) = Golden.Tensor("modules", "video.8.features");
        var nine = TensorData.FromFloats([.. values, .. values.AsSpan(0, shape[1] * shape[2])], 9, shape[1], shape[2]);
        var fault = Assert.Single((await Assert.ThrowsAsync<FlamingoException>(
            () => stage.ResampleAsync(new([Clip("video.8"), nine]), Cancellation))).Faults);
        Assert.Equal("features[1]", fault.Field);
        Assert.Contains("9 frames", fault.Problem, StringComparison.Ordinal);
        Assert.Contains("8", fault.Remedy, StringComparison.Ordinal);
    }

    private static TensorData Clip(string name)
    {
        var (values, shape) = Golden.Tensor("modules", $"{name}.features");
        return TensorData.FromFloats(values, shape);
    }

    private ResamplerStage NewStage()
    {
        var file = Path.Combine(models.NewFolder(), "resampler.safetensors");
        PerceiverFile.Write(RepositoryFiles.Path("tests", "reference", "modules.safetensors"), "weights.perceiver.", file);
        using var written = SafetensorsFile.Open(file);
        var weights = new WeightsFile(file, new FileInfo(file).Length, written.HeaderSha256, new string('0', 64), new string('0', 64));
        return models.NewStage(models.Altered("shapes", config => config with
        {
            Resampler = PerceiverResamplerTests.Config,
            Weights = config.Weights.ToDictionary(part => part.Key, part => part.Key == "resampler" ? weights : part.Value),
        }), new());
    }
}
