using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>
/// A test on a machine without a GPU that all tensors are created on the given device. The decoder gets the CPU as its device,
/// while torch's default device is meta, which has shapes but no values. A tensor that is created without a device is on meta,
/// and a computation with it fails or returns a tensor on meta. So if a result is on the CPU, all its inputs were created on the
/// given device. torch has one default device per process, so these tests do not run in parallel with others.
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
    public Task A_step_creates_all_tensors_on_the_given_device(
        string family, ScalarType dtype, WeightStorage storage, bool batched)
    {
        var model = models.DirectoryOf(family);
        return models.Thread.RunAsync(() =>
        {
            set_default_device(META);
            try
            {
                Assert.Equal(DeviceType.META, (zeros(2) + 1).device_type); // a tensor that is created without a device is on meta
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

                // a chunk in the middle of a prompt, one token of a sequence with a picture, one without a picture, and a padding row
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
