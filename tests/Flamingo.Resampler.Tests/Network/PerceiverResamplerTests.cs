using Flamingo.Checkpoints;
using Flamingo.Modeling.Weights;
using Flamingo.Resampler.Network;
using Flamingo.Testing;
using TorchSharp;

namespace Flamingo.Resampler.Tests.Network;

/// <summary>
/// Tests several frames and several media against OpenFlamingo. No published checkpoint has embeddings for them, so the weights are those
/// of modules.safetensors.
/// </summary>
public sealed class PerceiverResamplerTests(Models models)
{
    public static ResamplerConfig Config { get; } = new()
    {
        Width = 32,
        Layers = 2,
        Latents = 16,
        Heads = 8,
        HeadWidth = 64,
        FeedForwardWidth = 128,
        FrameEmbeddings = 8,
        MediaTimeEmbeddings = 4,
    };

    [Theory]
    [InlineData("video.1")]
    [InlineData("video.3")]
    [InlineData("video.8")]
    [InlineData("media")]
    public async Task Frames_and_media_are_embedded_as_the_original_does(string name)
    {
        var (features, shape) = Golden.Tensor("modules", $"{name}.features");
        // [batch, media, frames, patches, width]
        var whole = shape.Length == 3 ? [1, 1, .. shape] : new[] { 1 }.Concat(shape).ToArray();
        var latents = await models.Thread.RunAsync(() =>
        {
            using var network = Load();
            return network.Forward(torch.tensor(features, [.. whole.Select(length => (long)length)])).data<float>().ToArray();
        }, TestContext.Current.CancellationToken);
        Assert.InRange(Golden.Error(Golden.Tensor("modules", $"{name}.latents").Values, latents), 0, 1e-5);
    }

    /// <summary>Loads the perceiver of modules.safetensors from a file with only its tensors, because their names have a prefix.</summary>
    private static PerceiverResampler Load()
    {
        var path = Path.Combine(Path.GetTempPath(), $"flamingo-perceiver-{Guid.NewGuid():N}.safetensors");
        try
        {
            PerceiverFile.Write(RepositoryFiles.Path("tests", "reference", "modules.safetensors"), "weights.perceiver.", path);
            using var file = SafetensorsFile.Open(path);
            var weights = new WeightsReader(file, torch.CPU, torch.ScalarType.Float32);
            var network = new PerceiverResampler(Config, weights);
            weights.Finish();
            return network;
        }
        finally
        {
            File.Delete(path);
        }
    }
}
