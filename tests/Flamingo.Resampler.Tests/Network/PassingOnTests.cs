using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Modeling.Weights;
using Flamingo.Resampler.Network;
using static TorchSharp.torch;

namespace Flamingo.Resampler.Tests.Network;

/// <summary>Tests a checkpoint without a resampler, where the features of a picture are its latents.</summary>
public sealed class PassingOnTests(Models models)
{
    [Fact]
    public async Task Features_pass_as_they_are_and_each_latent_reads_its_own_patch()
    {
        var path = Path.GetTempFileName();
        SafetensorsWriter.Write(path, new Dictionary<string, Import.Sources.SourceTensor>(), null, (_, _) => { }, [],
            CancellationToken.None);
        try
        {
            await models.Thread.RunAsync(() =>
            {
                using var file = SafetensorsFile.Open(path);
                using var scope = NewDisposeScope();
                var weights = new WeightsReader(file, CPU, ScalarType.Float32);
                using var resampler = new PerceiverResampler(ResamplerConfig.PassingOn(width: 8, latents: 5), weights);
                weights.Finish();
                var features = arange(2 * 3 * 5 * 8, ScalarType.Float32).view(2, 3, 1, 5, 8);
                var (latents, attention) = resampler.Forward(features, includeAttention: true);
                Assert.Equal([2, 3, 5, 8], latents.shape);
                Assert.True(latents.eq(features.squeeze(2)).all().item<bool>());
                Assert.Equal([2, 3, 5, 5], attention!.shape);
                Assert.True(attention[1, 2].eq(eye(5)).all().item<bool>());
                using var idefics = new PerceiverResampler(ResamplerConfig.PassingOn(width: 8, latents: 5), weights, classToken: true);
                // The latent that is the class token's feature attends to no patch.
                var withoutClass = idefics.Forward(features, includeAttention: true).Attention!;
                Assert.True(withoutClass[1, 2].eq(eye(5).slice(1, 1, 5, 1)).all().item<bool>());
                return true;
            }, TestContext.Current.CancellationToken);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
