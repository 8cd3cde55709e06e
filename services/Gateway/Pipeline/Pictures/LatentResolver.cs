using Flamingo.Abstractions;
using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>Latents for pictures: memory, then Redis, then the stages; one encoding per key, however many requests want it at once, here or at other gateways.</summary>
public sealed class LatentResolver(LatentLookup lookup, SharedEncoding encoding, StageDescriptions descriptions, LatentCacheCounters counters, TimeProvider time)
{
    private readonly Flights _flights = new();

    /// <param name="pictures">Distinct by id.</param>
    /// <exception cref="FlamingoException">NotFound for ids that nobody holds as they are needed, all of them; InvalidArgument for bad pictures, named by their fields.</exception>
    public async Task<Resolution> ResolveAsync(IReadOnlyList<RequestedPicture> pictures, Tenant tenant, CancellationToken cancellation)
    {
        if (pictures.Count == 0) return Resolution.Empty;
        var model = await descriptions.GetAsync(cancellation);
        var started = time.GetTimestamp();
        var looked = await Task.WhenAll(pictures.Select(picture => lookup.LookAsync(picture, model, tenant, cancellation)));
        var took = time.GetElapsedTime(started);

        var found = looked.Where(item => item.Found is not null).ToDictionary(item => item.Miss.Picture.Id, item => item.Found!, StringComparer.Ordinal);
        var misses = looked.Where(item => item.Found is null).Select(item => item.Miss).ToList();
        ThrowIfUnknown([.. misses.Where(miss => miss.Picture.Input is null)]);
        var flown = misses.Count == 0 ? default : await FlyAsync(misses, model, tenant, found, again: false, cancellation);
        var resolution = new Resolution(found, took, flown.Vision, flown.Resample) { Waits = flown.Waits };
        counters.Save(resolution.Cache.Saved);
        return resolution;
    }

    private static void ThrowIfUnknown(List<PictureToEncode> unknown)
    {
        if (unknown.Count == 0) return;
        var (gone, partial) = (unknown.Where(miss => miss.Held is null).Select(miss => miss.Picture.Id).ToList(), unknown.Where(miss => miss.Held is not null).Select(miss => miss.Picture.Id).ToList());
        var said = new List<string>();
        if (gone.Count > 0) said.Add($"Nobody holds {(gone.Count == 1 ? "this picture" : "these pictures")} any more: {string.Join(", ", gone)}.");
        if (partial.Count > 0) said.Add($"Held without what attention maps or embeddings need: {string.Join(", ", partial)}.");
        throw new FlamingoException(FlamingoErrorKind.NotFound, $"{string.Join(' ', said)} Send the bytes again.") { Missing = [.. unknown.Select(miss => miss.Picture.Id)] };
    }

    // own pictures fly in one call; pictures that another request has in the air are waited for
    private async Task<FlightTimes> FlyAsync(List<PictureToEncode> misses, FlamingoModel model, Tenant tenant, Dictionary<string, ResolvedPicture> found, bool again, CancellationToken cancellation)
    {
        var (mine, others) = (new List<(PictureToEncode Miss, Flight Flight)>(), new List<(PictureToEncode Miss, Flight Flight)>());
        foreach (var miss in misses)
        {
            if (!_flights.TryTakeOff(miss, out var flight))
            {
                others.Add((miss, flight));
            }
            else if (lookup.InMemory(miss, model) is { } landed)
            {
                // an earlier flight landed between our lookup and now; it put its latents before it left the table
                found[miss.Picture.Id] = landed;
                _flights.Land(miss, flight, landed);
            }
            else
            {
                mine.Add((miss, flight));
            }
        }

        var times = new FlightTimes(default, default, others.Count);
        if (!again) counters.Wait(others.Count); // once per picture
        if (mine.Count > 0)
        {
            // not under the owner's cancellation: waiters of other requests must not fail because the owner left
            times = times.With(await FlyMineAsync(mine, model, tenant).WaitAsync(cancellation));
            foreach (var (miss, flight) in mine) found[miss.Picture.Id] = await flight.Landed.Task;
        }

        var left = new List<PictureToEncode>();
        foreach (var (miss, flight) in others)
        {
            var waited = time.GetTimestamp();
            try
            {
                found[miss.Picture.Id] = await flight.Landed.Task.WaitAsync(cancellation);
            }
            catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
            {
                left.Add(miss); // a picture beside it may be the bad one, and its fields are another caller's
            }

            times = times.With(new FlightTimes(time.GetElapsedTime(waited), default, 0));
        }

        return left.Count == 0 ? times : times.With(await FlyAsync(left, model, tenant, found, again: true, cancellation) with { Waits = 0 });
    }

    private async Task<FlightTimes> FlyMineAsync(List<(PictureToEncode Miss, Flight Flight)> mine, FlamingoModel model, Tenant tenant)
    {
        try
        {
            return await encoding.EncodeAsync(
                [.. mine.Select(item => item.Miss)], model, tenant,
                (index, landed) => _flights.Land(mine[index].Miss, mine[index].Flight, landed),
                (index, failure) => _flights.Fail(mine[index].Miss, mine[index].Flight, failure));
        }
        catch (Exception exception)
        {
            foreach (var (miss, flight) in mine) _flights.Fail(miss, flight, exception); // those that have landed stay landed
            throw;
        }
    }
}
