namespace Flamingo.Gateway.Operations;

/// <summary>Counts of encodings and waits that belong to no single tier of the latent cache, since the gateway started.</summary>
public sealed class LatentCacheCounters
{
    private long _encoded, _waits, _sharedWaits, _savedTicks;

    public long Encoded => Interlocked.Read(ref _encoded);

    public long Waits => Interlocked.Read(ref _waits);

    public long SharedWaits => Interlocked.Read(ref _sharedWaits);

    public TimeSpan Saved => TimeSpan.FromTicks(Interlocked.Read(ref _savedTicks));

    /// <summary>Counts pictures that are sent to the stages.</summary>
    public void Encode(int pictures) => Interlocked.Add(ref _encoded, pictures);

    /// <summary>Counts pictures that wait for another request's encoding in this gateway.</summary>
    public void Wait(int pictures) => Interlocked.Add(ref _waits, pictures);

    /// <summary>Counts a picture that another gateway is encoding, or has encoded since it was looked up.</summary>
    public void WaitForAnother() => Interlocked.Increment(ref _sharedWaits);

    /// <summary>Adds the time that cache hits saved.</summary> <param name="cost">Time that encoding the cached pictures had taken.</param>
    public void Save(TimeSpan cost) => Interlocked.Add(ref _savedTicks, cost.Ticks);
}
