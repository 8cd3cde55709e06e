using System.Collections.Concurrent;

namespace Flamingo.Gateway.Pictures;

/// <summary>Single flight in this process: one encoding per key and extras, however many requests want it at once.</summary>
internal sealed class Flights
{
    private readonly ConcurrentDictionary<string, Flight> _flights = new(StringComparer.Ordinal);

    /// <summary>Whether the caller owns the flight, and must land or fail it; otherwise it belongs to another request, and is waited for.</summary>
    public bool TryTakeOff(PictureToEncode miss, out Flight flight)
    {
        var own = new Flight();
        flight = _flights.GetOrAdd(Name(miss), own);
        if (!ReferenceEquals(flight, own)) return false;
        if (Name(miss) != miss.Key) _flights.TryAdd(miss.Key, own); // a flight with extras serves those without too
        return true;
    }

    public void Land(PictureToEncode miss, Flight flight, ResolvedPicture picture)
    {
        Remove(miss, flight);
        flight.Landed.TrySetResult(picture);
    }

    public void Fail(PictureToEncode miss, Flight flight, Exception exception)
    {
        Remove(miss, flight);
        flight.Landed.TrySetException(exception);
        _ = flight.Landed.Task.Exception; // the owner reports it; without waiters nobody else looks
    }

    // only this flight: another request may have taken off under the same name since
    private void Remove(PictureToEncode miss, Flight flight)
    {
        _flights.TryRemove(new KeyValuePair<string, Flight>(Name(miss), flight));
        _flights.TryRemove(new KeyValuePair<string, Flight>(miss.Key, flight));
    }

    private static string Name(PictureToEncode miss) => miss.Picture.Extras == PictureExtras.None ? miss.Key : $"{miss.Key} {miss.Picture.Extras}";
}

internal sealed class Flight
{
    public TaskCompletionSource<ResolvedPicture> Landed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
