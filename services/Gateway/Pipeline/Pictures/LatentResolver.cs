using System.Collections.Concurrent;
using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Stages;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>Latents for pictures: memory, then Redis, then the stages; one encoding per key, however many requests want it at once.</summary>
public sealed class LatentResolver(LatentTiers tiers, LatentEncoder encoder, StageDescriptions descriptions, GatewayOptions options, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Flight> _flights = new(StringComparer.Ordinal);

    /// <param name="pictures">Distinct by id.</param>
    /// <exception cref="StageException">NotFound for ids that nobody holds as they are needed, all of them; InvalidArgument for bad pictures, named by their fields.</exception>
    public async Task<Resolution> ResolveAsync(IReadOnlyList<RequestedPicture> pictures, CancellationToken cancellation)
    {
        if (pictures.Count == 0) return new Resolution(new Dictionary<string, ResolvedPicture>(), TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);
        var model = await descriptions.GetAsync(cancellation);
        var started = time.GetTimestamp();
        var looked = await Task.WhenAll(pictures.Select(picture => LookAsync(picture, model, cancellation)));
        var lookup = time.GetElapsedTime(started);

        var found = looked.Where(item => item.Found is not null).ToDictionary(item => item.Miss.Picture.Id, item => item.Found!, StringComparer.Ordinal);
        var misses = looked.Where(item => item.Found is null).Select(item => item.Miss).ToList();
        ThrowIfUnknown([.. misses.Where(miss => miss.Picture.File is null)]);
        if (misses.Count == 0) return new Resolution(found, lookup, TimeSpan.Zero, TimeSpan.Zero);

        var (visionTime, resampleTime) = await FlyAsync(misses, model, found, cancellation);
        return new Resolution(found, lookup, visionTime, resampleTime);
    }

    private string KeyOf(string id, FlamingoModel model) =>
        LatentKey.Compute(id, model.Vision.WeightsDigest, model.Resampler.WeightsDigest, model.Vision.PreprocessingVersion, model.Resampler.LatentDtype, options.TenantSalt);

    private async Task<(ResolvedPicture? Found, PictureToEncode Miss)> LookAsync(RequestedPicture picture, FlamingoModel model, CancellationToken cancellation)
    {
        var (made, key) = (model.Resampler, KeyOf(picture.Id, model));
        var latentsTask = tiers.GetAsync(key, tensor => tensor.Dtype == made.LatentDtype && tensor.Shape.AsSpan().SequenceEqual([made.Latents, made.Width]), cancellation);
        var attention = !picture.IncludeAttention ? null : await tiers.GetAsync(
            LatentKey.OfAttention(key),
            tensor => tensor.Dtype == TensorDtype.Float32 && tensor.Shape.Length == 2 && tensor.Shape[0] == made.Latents && tensor.Shape[1] % model.Vision.Patches == 0,
            cancellation);
        var latents = await latentsTask;
        var miss = new PictureToEncode(picture, key, latents?.Value);
        if (latents is not { } held || (picture.IncludeAttention && attention is null)) return (null, miss);
        (held.Source == PictureSource.Memory ? GatewayMetrics.MemoryHits : GatewayMetrics.RedisHits).Add(1);
        return (new ResolvedPicture(key, held.Value, held.Source, LatentOrigin.Of(model), attention?.Value.Tensor), miss);
    }

    private static void ThrowIfUnknown(List<PictureToEncode> unknown)
    {
        if (unknown.Count == 0) return;
        var (gone, blind) = (unknown.Where(miss => miss.Held is null).Select(miss => miss.Picture.Id).ToList(), unknown.Where(miss => miss.Held is not null).Select(miss => miss.Picture.Id).ToList());
        var said = new List<string>();
        if (gone.Count > 0) said.Add($"Nobody holds {(gone.Count == 1 ? "this picture" : "these pictures")} any more: {string.Join(", ", gone)}.");
        if (blind.Count > 0) said.Add($"Held without what attention maps need: {string.Join(", ", blind)}.");
        throw new StageException(StageErrorKind.NotFound, $"{string.Join(' ', said)} Send the bytes again.") { Missing = [.. unknown.Select(miss => miss.Picture.Id)] };
    }

    // own pictures fly in one call; pictures that another request has in the air are waited for
    private async Task<(TimeSpan Vision, TimeSpan Resample)> FlyAsync(List<PictureToEncode> misses, FlamingoModel model, Dictionary<string, ResolvedPicture> found, CancellationToken cancellation)
    {
        var (mine, others) = (new List<(PictureToEncode Miss, Flight Flight)>(), new List<(PictureToEncode Miss, Flight Flight)>());
        foreach (var miss in misses)
        {
            var flight = new Flight();
            var joined = _flights.GetOrAdd(FlightOf(miss), flight);
            if (!ReferenceEquals(joined, flight))
            {
                others.Add((miss, joined));
            }
            else if (Landed(miss, model) is { } landed)
            {
                // an earlier flight landed between our lookup and now; it put its latents before it left the table
                Remove(miss, flight);
                found[miss.Picture.Id] = landed;
                flight.Landed.TrySetResult(landed);
            }
            else
            {
                // a flight with attention serves those without too
                if (miss.Picture.IncludeAttention) _flights.TryAdd(miss.Key, flight);
                mine.Add((miss, flight));
            }
        }

        var times = (Vision: TimeSpan.Zero, Resample: TimeSpan.Zero);
        if (mine.Count > 0)
        {
            // not under the owner's cancellation: waiters of other requests must not fail because the owner left
            var flying = FlyMineAsync(mine, model);
            times = await flying.WaitAsync(cancellation);
            foreach (var (miss, flight) in mine) found[miss.Picture.Id] = await flight.Landed.Task;
        }

        var again = new List<PictureToEncode>();
        foreach (var (miss, flight) in others)
        {
            var waited = time.GetTimestamp();
            try
            {
                found[miss.Picture.Id] = await flight.Landed.Task.WaitAsync(cancellation);
            }
            catch (StageException exception) when (exception.Kind == StageErrorKind.InvalidArgument)
            {
                again.Add(miss); // a picture beside it may be the bad one, and its fields are another caller's
            }

            times.Vision += time.GetElapsedTime(waited);
        }

        if (again.Count == 0) return times;
        var more = await FlyAsync(again, model, found, cancellation);
        return (times.Vision + more.Vision, times.Resample + more.Resample);
    }

    private static string FlightOf(PictureToEncode miss) => miss.Picture.IncludeAttention ? LatentKey.OfAttention(miss.Key) : miss.Key;

    private ResolvedPicture? Landed(PictureToEncode miss, FlamingoModel model)
    {
        if (tiers.InMemory(miss.Key) is not { } latents) return null;
        if (!miss.Picture.IncludeAttention) return new ResolvedPicture(miss.Key, latents, PictureSource.Memory, LatentOrigin.Of(model));
        return tiers.InMemory(LatentKey.OfAttention(miss.Key)) is { } attention ? new ResolvedPicture(miss.Key, latents, PictureSource.Memory, LatentOrigin.Of(model), attention.Tensor) : null;
    }

    // only this flight: another request may have taken off under the same key since
    private void Remove(PictureToEncode miss, Flight flight)
    {
        _flights.TryRemove(new KeyValuePair<string, Flight>(FlightOf(miss), flight));
        if (miss.Picture.IncludeAttention) _flights.TryRemove(new KeyValuePair<string, Flight>(miss.Key, flight));
    }

    private async Task<(TimeSpan Vision, TimeSpan Resample)> FlyMineAsync(List<(PictureToEncode Miss, Flight Flight)> mine, FlamingoModel model)
    {
        try
        {
            return await encoder.EncodeAsync([.. mine.Select(item => item.Miss)], model, (index, landed) =>
            {
                Remove(mine[index].Miss, mine[index].Flight);
                mine[index].Flight.Landed.TrySetResult(landed);
            });
        }
        catch (Exception exception)
        {
            foreach (var (miss, flight) in mine)
            {
                Remove(miss, flight);
                flight.Landed.TrySetException(exception);
                _ = flight.Landed.Task.Exception; // the owner reports it; without waiters nobody else looks
            }

            throw;
        }
    }

    private sealed class Flight
    {
        public TaskCompletionSource<ResolvedPicture> Landed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
