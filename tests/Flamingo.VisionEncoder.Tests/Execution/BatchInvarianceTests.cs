using System.Diagnostics.Metrics;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Execution;

namespace Flamingo.VisionEncoder.Tests.Execution;

/// <summary>
/// Tests that pictures of several calls in one forward pass have bit-identical features to pictures that are encoded alone, and that a bad
/// picture fails only its own call.
/// </summary>
public sealed class BatchInvarianceTests(Models models)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("shapes", "float32")]
    [InlineData("shapes", "bfloat16")]
    [InlineData("mpt1b", "float32")]
    [InlineData("mpt7b", "float32")]
    [InlineData("mpt7b", "bfloat16")]
    public async Task Features_are_the_same_bits_alone_and_in_any_batch(string family, string dtype)
    {
        var pictures = Pictures(9);
        using var stage = models.NewStage(models.DirectoryOf(family), new() { BatchSize = 1 }, dtype: dtype);
        var alone = (await stage.EncodeAsync(new(pictures, IncludePooled: true), Cancellation)).Pictures;
        Assert.Equal(9, (await stage.GetStatisticsAsync(Cancellation)).Batches);
        for (var size = 2; size <= 9; size++)
        {
            using var batched = models.NewStage(models.DirectoryOf(family), new() { BatchSize = size }, dtype: dtype);
            var together = (await batched.EncodeAsync(new(pictures, IncludePooled: true), Cancellation)).Pictures;
            foreach (var (expected, actual) in alone.Zip(together)) AssertSame(expected, actual);
        }
    }

    [Fact]
    public async Task Calls_share_batches_and_every_picture_is_counted_once()
    {
        // The long wait makes the stage compute full batches only.
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new() { BatchSize = 8, BatchWait = TimeSpan.FromSeconds(10) });
        var pictures = Pictures(32);
        var calls = await Task.WhenAll(pictures.Select(picture => stage.EncodeAsync(new([picture], IncludePooled: true), Cancellation)));
        var statistics = await stage.GetStatisticsAsync(Cancellation);
        Assert.Equal((32, 32, 4), (statistics.Pictures, statistics.Frames, statistics.Batches));
        using var single = models.NewStage(models.DirectoryOf("mpt1b"), new() { BatchSize = 1 });
        foreach (var (picture, call) in pictures.Zip(calls))
        {
            var alone = await single.EncodeAsync(new([picture], IncludePooled: true), Cancellation);
            AssertSame(alone.Pictures[0], Assert.Single(call.Pictures));
        }
    }

    [Fact]
    public async Task A_bad_picture_fails_its_own_call_alone()
    {
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new());
        var bad = VisualInput.Still(Golden.Input("jpeg-420.jpg").AsMemory(0, 1500));
        var calls = Enumerable.Range(0, 12)
            .Select(index => stage.EncodeAsync(new([Pictures(1)[0], index % 3 == 0 ? bad : Pictures(2)[1]]), Cancellation)).ToList();
        foreach (var (index, call) in calls.Index())
        {
            if (index % 3 == 0)
                Assert.Equal("pictures[1]", Assert.Single((await Assert.ThrowsAsync<FlamingoException>(() => call)).Faults).Field);
            else Assert.Equal(2, (await call).Pictures.Count);
        }

        Assert.Equal(16, (await stage.GetStatisticsAsync(Cancellation)).Pictures);
    }

    [Fact]
    public async Task No_more_pictures_are_decoded_at_once_than_allowed()
    {
        var decoder = new CountingDecoder(IPictureDecoder.Compiled);
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new() { MaxDecodes = 2 }, decoder: decoder);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => stage.EncodeAsync(new(Pictures(5)), Cancellation)));
        Assert.Equal(100, decoder.Decoded);
        Assert.InRange(decoder.Most, 1, 2);
    }

    [Fact]
    public async Task What_was_computed_is_told_as_metrics()
    {
        var told = new Dictionary<string, double>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "Flamingo.VisionEncoder") listener.EnableMeasurementEvents(instrument);
            },
        };
        void Add(Instrument instrument, double value)
        {
            lock (told) told[instrument.Name] = told.GetValueOrDefault(instrument.Name) + value;
        }

        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => Add(instrument, value));
        listener.SetMeasurementEventCallback<int>((instrument, value, _, _) => Add(instrument, value));
        listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => Add(instrument, value));
        listener.Start();
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), new());
        await stage.EncodeAsync(new(Pictures(3)), Cancellation);
        listener.RecordObservableInstruments();
        // The stages of other tests use the same meter, so only lower bounds are known.
        foreach (var name in new[] { "pictures", "frames", "batches", "batch_size", "queue_wait" })
            Assert.True(told[$"flamingo.vision_encoder.{name}"] > 0, name);
    }

    private static VisualInput[] Pictures(int count) =>
        [.. Enumerable.Range(0, count).Select(number => VisualInput.Still(Golden.Picture(number % 5)))];

    private static void AssertSame(PictureFeatures expected, PictureFeatures actual)
    {
        Assert.True(expected.Features.Bytes.Span.SequenceEqual(actual.Features.Bytes.Span));
        Assert.True(expected.Pooled!.Bytes.Span.SequenceEqual(actual.Pooled!.Bytes.Span));
    }

    private sealed class CountingDecoder(IPictureDecoder inner) : IPictureDecoder
    {
        private readonly Lock _lock = new();
        private int _now;

        public int Decoded { get; private set; }

        public int Most { get; private set; }

        public string Name => inner.Name;

        public (int Width, int Height)? ReadSize(ReadOnlyMemory<byte> file) => inner.ReadSize(file);

        public int CountFrames(ReadOnlyMemory<byte> file) => inner.CountFrames(file);

        public IEnumerable<DecodedPicture?> DecodeFrames(ReadOnlyMemory<byte> file, IReadOnlyList<int> frames) =>
            inner.DecodeFrames(file, frames);

        public DecodedPicture? Decode(ReadOnlyMemory<byte> file)
        {
            lock (_lock) (Decoded, Most) = (Decoded + 1, Math.Max(Most, ++_now));
            var picture = inner.Decode(file);
            lock (_lock) _now--;
            return picture;
        }
    }
}
