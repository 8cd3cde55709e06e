using System.Diagnostics.Metrics;
using Flamingo.Modeling.Batching;

namespace Flamingo.Modeling.Tests.Batching;

public sealed class BatchMetricsTests
{
    [Fact]
    public void Counts_and_instruments_say_the_same()
    {
        var read = new Dictionary<string, double>();
        using var metrics = new BatchMetrics("Flamingo.BatchMetricsTests", "flamingo.test");
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
                { if (instrument.Meter.Name == "Flamingo.BatchMetricsTests") listener.EnableMeasurementEvents(instrument); }
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => read[instrument.Name] = value);
        listener.SetMeasurementEventCallback<int>((instrument, value, _, _) => read[instrument.Name] = value);
        listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => read[instrument.Name] = value);
        listener.Start();
        metrics.Computed(items: 5, pictures: 2, frames: 5);
        metrics.Computed(items: 3, pictures: 3, frames: 3);
        metrics.Waited(TimeSpan.FromMilliseconds(250));
        listener.RecordObservableInstruments();
        Assert.Equal((5, 8, 2), (metrics.Pictures, metrics.Frames, metrics.Batches));
        Assert.Equal(
            new()
            {
                ["flamingo.test.pictures"] = 5, ["flamingo.test.frames"] = 8, ["flamingo.test.batches"] = 2,
                ["flamingo.test.batch_size"] = 3, ["flamingo.test.queue_wait"] = 0.25
            }, read);
    }
}
