using System.Diagnostics.Metrics;

namespace Flamingo.Modeling.Batching;

/// <summary>
/// What a stage computed, as metrics and as counts since it started. A picture counts when its features or latents are computed, whether
/// its caller still waits or not.
/// </summary>
public sealed class BatchMetrics : IDisposable
{
    private readonly Meter _meter;
    private readonly Histogram<int> _size;
    private readonly Histogram<double> _wait;
    private long _pictures, _frames, _batches;

    /// <param name="meter">For example <c>Flamingo.VisionEncoder</c>.</param>
    /// <param name="prefix">Of the instruments' names, for example <c>flamingo.vision_encoder</c>.</param>
    public BatchMetrics(string meter, string prefix)
    {
        _meter = new Meter(meter);
        _meter.CreateObservableCounter($"{prefix}.pictures", () => Pictures, "{picture}", "Pictures and clips that were computed.");
        _meter.CreateObservableCounter($"{prefix}.frames", () => Frames, "{frame}", "Their frames.");
        _meter.CreateObservableCounter($"{prefix}.batches", () => Batches, "{batch}", "Forward passes.");
        _size = _meter.CreateHistogram<int>($"{prefix}.batch_size", "{item}", "Items of one forward pass.");
        _wait = _meter.CreateHistogram<double>($"{prefix}.queue_wait", "s", "How long an item waited for its forward pass.");
    }

    public long Pictures => Interlocked.Read(ref _pictures);

    public long Frames => Interlocked.Read(ref _frames);

    public long Batches => Interlocked.Read(ref _batches);

    /// <param name="items">Items of the pass.</param>
    /// <param name="pictures">Pictures that are complete with it.</param>
    /// <param name="frames">Frames in it.</param>
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
