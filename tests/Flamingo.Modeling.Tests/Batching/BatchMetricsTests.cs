using System.Diagnostics.Metrics;
using Flamingo.Abstractions;
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

    [Fact]
    public void What_the_stage_holds_and_refuses_is_reported()
    {
        var read = new Dictionary<string, double>();
        using var metrics = new BatchMetrics("Flamingo.BatchMetricsTests.Holding", "flamingo.test");
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
                { if (instrument.Meter.Name == "Flamingo.BatchMetricsTests.Holding") listener.EnableMeasurementEvents(instrument); }
        };
        listener.SetMeasurementEventCallback<int>((instrument, value, _, _) => read[instrument.Name] = value);
        listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => read[instrument.Name] = value);
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
            read[$"{instrument.Name} {(tags.Length > 0 ? tags[0].Value : "")}".Trim()] = value);
        listener.Start();
        metrics.Watch(() => 7, () => 2);
        metrics.Took(TimeSpan.FromMilliseconds(40));
        metrics.Refused(new FlamingoException(FlamingoErrorKind.Overloaded, "The queue is full."));
        metrics.Refused(FlamingoException.Invalid("pictures", "This is no picture.", "Send a JPEG file."));
        listener.RecordObservableInstruments();
        Assert.Equal((7, 2), (read["flamingo.test.waiting"], read["flamingo.test.in_flight"]));
        Assert.Equal(0.04, read["flamingo.test.batch_duration"]);
        Assert.Equal((1, 1), (read["flamingo.test.refusals overloaded"], read["flamingo.test.refusals invalid_argument"]));
    }
}
