using System.Diagnostics.Metrics;
using Flamingo.Abstractions;

namespace Flamingo.Modeling.Batching;

/// <summary>
/// What a stage has computed, as metrics and as counts since its start. A picture counts when its features or latents are
/// computed, even if its caller no longer waits.
/// </summary>
public sealed class BatchMetrics : IDisposable
{
    private static readonly InstrumentAdvice<int> Counts = new() { HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256] };

    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    };

    private readonly string _prefix;
    private readonly Meter _meter;
    private readonly Histogram<int> _size;
    private readonly Histogram<double> _wait, _duration;
    private readonly Counter<long> _refusals;
    private long _pictures, _frames, _batches;

    /// <param name="meter">Name of the meter, for example <c>Flamingo.VisionEncoder</c>.</param>
    /// <param name="prefix">Prefix of the names of the instruments, for example <c>flamingo.vision_encoder</c>.</param>
    public BatchMetrics(string meter, string prefix)
    {
        (_meter, _prefix) = (new Meter(meter), prefix);
        _meter.CreateObservableCounter($"{prefix}.pictures", () => Pictures, "{picture}", "Pictures and clips that were computed.");
        _meter.CreateObservableCounter($"{prefix}.frames", () => Frames, "{frame}", "Frames of these pictures and clips.");
        _meter.CreateObservableCounter($"{prefix}.batches", () => Batches, "{batch}", "Forward passes.");
        _size = _meter.CreateHistogram($"{prefix}.batch_size", "{item}", "Items of one forward pass.", advice: Counts);
        _wait = _meter.CreateHistogram(
            $"{prefix}.queue_wait", "s", "How long an item waited for its forward pass.", advice: Seconds);
        _duration = _meter.CreateHistogram($"{prefix}.batch_duration", "s", "Time of one forward pass.", advice: Seconds);
        _refusals = _meter.CreateCounter<long>($"{prefix}.refusals", "{call}", "Calls that were refused, by reason.");
    }

    public long Pictures => Interlocked.Read(ref _pictures);

    public long Frames => Interlocked.Read(ref _frames);

    public long Batches => Interlocked.Read(ref _batches);

    /// <param name="items">Number of items in the pass.</param>
    /// <param name="pictures">Number of pictures that this pass completes.</param>
    /// <param name="frames">Number of frames in the pass.</param>
    public void Computed(int items, int pictures, int frames)
    {
        Interlocked.Increment(ref _batches);
        Interlocked.Add(ref _pictures, pictures);
        Interlocked.Add(ref _frames, frames);
        _size.Record(items);
    }

    /// <summary>Reports what the stage holds, which is read when metrics are collected.</summary>
    /// <param name="waiting">Items that have arrived and are not in a forward pass.</param>
    /// <param name="inFlight">Items of the running forward pass.</param>
    public void Watch(Func<int> waiting, Func<int> inFlight)
    {
        _meter.CreateObservableGauge(
            $"{_prefix}.waiting", waiting, "{item}", "Items that have arrived and are not in a forward pass yet.");
        _meter.CreateObservableGauge($"{_prefix}.in_flight", inFlight, "{item}", "Items of the running forward pass.");
    }

    /// <summary>Records how long a forward pass took.</summary>
    public void Took(TimeSpan duration) => _duration.Record(duration.TotalSeconds);

    /// <summary>Counts a call that the stage refused.</summary>
    public void Refused(FlamingoException refusal) => _refusals.Add(1, new KeyValuePair<string, object?>("reason", refusal.Kind switch
    {
        FlamingoErrorKind.Overloaded => "overloaded",
        FlamingoErrorKind.InvalidArgument => "invalid_argument",
        FlamingoErrorKind.Unavailable => "stopping",
        _ => "other",
    }));

    public void Waited(TimeSpan wait) => _wait.Record(wait.TotalSeconds);

    public void Dispose() => _meter.Dispose();
}
