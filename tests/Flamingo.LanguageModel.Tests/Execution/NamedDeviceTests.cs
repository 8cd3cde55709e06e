using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>
/// A test device on a machine without a GPU. The decoder gets the CPU as the device to compute on, while torch's default device is meta,
/// which knows shapes and no values: a tensor that is made without naming a device lands there, and what is computed from it is refused or
/// comes out on meta. So what comes out on the CPU was made on the device that was given, all of it.
/// torch has one default for the whole process: these tests run alone.
/// </summary>
[Collection("torch's default device")]
public sealed class NamedDeviceTests(Models models)
{
    [CollectionDefinition("torch's default device", DisableParallelization = true)]
    public sealed class Alone;

    public static TheoryData<string, ScalarType, WeightStorage, bool> Cases =>
    [
        .. from family in Golden.Families.Append("grouped")
           from dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 }
           from storage in Enum.GetValues<WeightStorage>()
           from batched in new[] { true, false }
           select (family, dtype, storage, batched),
    ];

    [Theory, MemberData(nameof(Cases))]
    public Task Whatever_a_step_makes_it_makes_on_the_device_that_it_was_given(
        string family, ScalarType dtype, WeightStorage storage, bool batched)
    {
        var model = models.DirectoryOf(family);
        return models.Thread.RunAsync(() =>
        {
            set_default_device(META);
            try
            {
                Assert.Equal(DeviceType.META, (zeros(2) + 1).device_type); // a tensor made without a device lands on meta
                using var file = model.OpenWeights("language");
                var (config, device) = (model.Config, CPU);
                var weights = new WeightsReader(file, device, dtype, storage, models.Thread.Team);
                using var decoder = new Decoder(config.Language, weights, device);
                weights.Finish();
                using var text = decoder.NewTextStore(16, MemoryPlan.BlockTokens);
                using var pictures = decoder.NewPictureStore(4, config.Resampler.Latents);
                using var paged = new Disposing(batched ? new BatchedAttention(decoder.Transfer) : new PagedAttention(models.Thread.Team));
                decoder.Project(zeros([config.Resampler.Latents, config.Language.CrossAttention.LatentWidth], dtype, device), pictures, 1);
                decoder.Project(ones([config.Resampler.Latents, config.Language.CrossAttention.LatentWidth], dtype, device), pictures, 2);
                text.Clear(decoder.Transfer.Upload([.. Enumerable.Range(0, 16).Select(block => (long)block)]));
                text.Copy(3, 5);

                // a prompt in the middle, one token of another with a picture, one without, and one that fills up
                AttentionRow[] rows =
                [
                    .. Enumerable.Range(10, 7).Select(length => new AttentionRow(0, length)), new(3, 20), new(4, 3), default,
                ];
                var seen = new AttentionRow(0, config.Resampler.Latents);
                var step = new DecoderStep(
                    [.. Enumerable.Range(0, 10)],
                    new([0, 1, 2, 3, 4, 5], rows),
                    new([1, 2], [.. Enumerable.Repeat(seen, 7), seen with { Table = 1 }, default, default]));
                var hidden = decoder.Forward(step, text, pictures, paged.Attention);
                var logits = decoder.Logits(hidden);
                var best = logits.argmax(1).masked_fill(logits.isfinite().all(1).logical_not(), -1);
                Assert.Equal(
                    (DeviceType.CPU, DeviceType.CPU, DeviceType.CPU, dtype),
                    (hidden.device_type, logits.device_type, best.device_type, hidden.dtype));
                Assert.Equal([10, config.Language.VocabularySize], logits.shape);
                Assert.True(logits.isfinite().all().item<bool>());
            }
            finally
            {
                set_default_device(CPU);
            }

            return true;
        }, TestContext.Current.CancellationToken);
    }

    private sealed record Disposing(IBlockAttention Attention) : IDisposable
    {
        public void Dispose() => (Attention as IDisposable)?.Dispose();
    }
}
