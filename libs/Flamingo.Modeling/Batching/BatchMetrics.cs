using System.Diagnostics.Metrics;

namespace Flamingo.Modeling.Batching;

/// <summary>
/// What a stage has computed, as metrics and as counts since its start. A picture counts when its features or latents are
/// computed, even if its caller no longer waits.
/// </summary>
public sealed class BatchMetrics : IDisposable
{
    private readonly Meter _meter;
    private readonly Histogram<int> _size;
    private readonly Histogram<double> _wait;
    private long _pictures, _frames, _batches;

    /// <param name="meter">Name of the meter, for example <c>Flamingo.VisionEncoder</c>.</param>
    /// <param name="prefix">Prefix of the names of the instruments, for example <c>flamingo.vision_encoder</c>.</param>
    public BatchMetrics(string meter, string prefix)
    {
        _meter = new Meter(meter);
        _meter.CreateObservableCounter($"{prefix}.pictures", () => Pictures, "{picture}", "Pictures and clips that were computed.");
        _meter.CreateObservableCounter($"{prefix}.frames", () => Frames, "{frame}", "Frames of these pictures and clips.");
        _meter.CreateObservableCounter($"{prefix}.batches", () => Batches, "{batch}", "Forward passes.");
        _size = _meter.CreateHistogram<int>($"{prefix}.batch_size", "{item}", "Items of one forward pass.");
        _wait = _meter.CreateHistogram<double>($"{prefix}.queue_wait", "s", "How long an item waited for its forward pass.");
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

    public void Waited(TimeSpan wait) => _wait.Record(wait.TotalSeconds);

    public void Dispose() => _meter.Dispose();
}
