using System.Diagnostics.Metrics;
using Flamingo.Abstractions;
using Flamingo.Resampler.Execution;
using Flamingo.Stages;

namespace Flamingo.Resampler.Tests.Execution;

/// <summary>Tests that the latents of features are bit-identical alone and in one forward pass with features of other calls.</summary>
public sealed class BatchInvarianceTests(Models models)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>
    /// The numbers of patches are those of the model named shapes, those of CLIP ViT-L with and without the class token, and numbers that
    /// are too small for MKL's larger tiles.
    /// </summary>
    [Theory]
    [InlineData("shapes", "float32", 64)]
    [InlineData("shapes", "bfloat16", 64)]
    [InlineData("shapes", "float32", 257)]
    [InlineData("shapes", "bfloat16", 257)]
    [InlineData("mpt1b", "float32", 256)]
    [InlineData("mpt7b", "float32", 1)]
    [InlineData("mpt7b", "bfloat16", 3)]
    [InlineData("shapes", "float32", 64, "int8")]
    [InlineData("mpt7b", "float32", 1, "int8")]
    [InlineData("mpt7b", "bfloat16", 3, "int8")]
    public async Task Latents_are_the_same_bits_alone_and_in_any_batch(string family, string dtype, int patches, string storage = "native")
    {
        using var single = models.NewStage(models.DirectoryOf(family), new() { BatchSize = 1 }, dtype: dtype, storage: storage);
        var features = Features(9, patches, single.Description.FeatureWidth);
        var alone = await single.ResampleAsync(new(features, IncludeAttention: true), Cancellation);
        for (var size = 2; size <= 9; size++)
        {
            using var batched = models.NewStage(models.DirectoryOf(family), new() { BatchSize = size }, dtype: dtype, storage: storage);
            var together = await batched.ResampleAsync(new(features, IncludeAttention: size % 2 == 0), Cancellation);
            foreach (var (expected, actual) in alone.Latents.Zip(together.Latents))
                Assert.True(expected.Bytes.Span.SequenceEqual(actual.Bytes.Span), $"batches of {size}");
            foreach (var (expected, actual) in alone.Attention.Zip(together.Attention))
                Assert.InRange(Golden.Error(expected.ToFloats(), actual.ToFloats()), 0, 1e-5);
        }
    }

    [Fact]
    public async Task Calls_share_batches_by_shape_and_every_picture_is_told()
    {
        var told = new Dictionary<string, long>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "Flamingo.Resampler") listener.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>(
            (instrument, value, _, _) => { lock (told) told[instrument.Name] = told.GetValueOrDefault(instrument.Name) + value; });
        // The long wait makes the stage compute full batches only.
        using var stage = models.NewStage(models.DirectoryOf("shapes"), new() { BatchSize = 8, BatchWait = TimeSpan.FromSeconds(10) });
        var (wide, narrow) = (Features(16, 64, 128), Features(16, 16, 128));
        var calls = await Task.WhenAll(wide.Concat(narrow).Select(item => stage.ResampleAsync(new([item]), Cancellation)));
        listener.Start();
        listener.RecordObservableInstruments();
        Assert.True(told["flamingo.resampler.pictures"] >= 32);
        Assert.InRange(told["flamingo.resampler.batches"], 4, told["flamingo.resampler.pictures"]);
        using var single = models.NewStage(models.DirectoryOf("shapes"), new() { BatchSize = 1 });
        var alone = (await single.ResampleAsync(new([.. wide, .. narrow]), Cancellation)).Latents;
        foreach (var (expected, call) in alone.Zip(calls))
            Assert.True(expected.Bytes.Span.SequenceEqual(Assert.Single(call.Latents).Bytes.Span));
    }

    private static TensorData[] Features(int count, int patches, int width)
    {
        var random = new Random(patches);
        float[] Values() => [.. Enumerable.Range(0, patches * width).Select(_ => (float)((random.NextDouble() - 0.5) * 4))];
        return [.. Enumerable.Range(0, count).Select(_ => TensorData.FromFloats(Values(), 1, patches, width))];
    }
}
