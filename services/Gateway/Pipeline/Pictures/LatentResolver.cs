using System.Collections.Concurrent;
using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Stages;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>A picture of a request: its id, and its file if the caller sent it.</summary>
/// <param name="Field">Name of the first field that held it, for errors.</param>
public sealed record RequestedPicture(string Id, ReadOnlyMemory<byte>? File, string Field);

/// <param name="Key">The key these latents truly have, by the weights that made them.</param>
/// <param name="Origin">By what made them, not by what is described: a stage may just have been replaced.</param>
public sealed record ResolvedPicture(string Key, ChecksummedLatents Latents, PictureSource Source, LatentOrigin Origin);

/// <summary>Pictures by id, and the times of one resolution.</summary>
/// <param name="Vision">Waiting for another request's encoding of the same picture counts here.</param>
public sealed record Resolution(IReadOnlyDictionary<string, ResolvedPicture> Pictures, TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample);

/// <summary>Digests of the weights that made a picture's latents.</summary>
public sealed record LatentOrigin(string Vision, string Resampler);

/// <summary>Latents for pictures: memory, then Redis, then the stages; one encoding per key, however many requests want it at once.</summary>
public sealed class LatentResolver(
    IVisionEncoder vision, IResampler resampler, StageDescriptions descriptions, MemoryLatentCache memory, RedisLatentCache? redis, GatewayOptions options, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Flight> _flights = new(StringComparer.Ordinal);

    /// <param name="pictures">Distinct by id.</param>
    /// <exception cref="StageException">NotFound for ids that nobody holds, all of them; InvalidArgument for bad pictures, named by their fields.</exception>
    public async Task<Resolution> ResolveAsync(IReadOnlyList<RequestedPicture> pictures, CancellationToken cancellation)
    {
        if (pictures.Count == 0) return new Resolution(new Dictionary<string, ResolvedPicture>(), TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);
        var model = await descriptions.GetAsync(cancellation);
        var started = time.GetTimestamp();
        var looked = await Task.WhenAll(pictures.Select(async picture => (Picture: picture, Found: await LookAsync(KeyOf(picture.Id, model), model, cancellation))));
        var lookup = time.GetElapsedTime(started);

        var found = looked.Where(item => item.Found is not null).ToDictionary(item => item.Picture.Id, item => item.Found!, StringComparer.Ordinal);
        var misses = looked.Where(item => item.Found is null).Select(item => item.Picture).ToList();
        var unknown = misses.Where(picture => picture.File is null).Select(picture => picture.Id).ToList();
        if (unknown.Count > 0)
            throw new StageException(StageErrorKind.NotFound, $"Nobody holds {(unknown.Count == 1 ? "this picture" : "these pictures")} any more: {string.Join(", ", unknown)}. Send the bytes again.") { Missing = unknown };
        if (misses.Count == 0) return new Resolution(found, lookup, TimeSpan.Zero, TimeSpan.Zero);

        var (visionTime, resampleTime) = await FlyAsync(misses, model, found, cancellation);
        return new Resolution(found, lookup, visionTime, resampleTime);
    }

    private string KeyOf(string id, FlamingoModel model) =>
        LatentKey.Compute(id, model.Vision.WeightsDigest, model.Resampler.WeightsDigest, model.Vision.PreprocessingVersion, model.Resampler.LatentDtype, options.TenantSalt);

    private static LatentOrigin OriginOf(FlamingoModel model) => new(model.Vision.WeightsDigest, model.Resampler.WeightsDigest);

    private async Task<ResolvedPicture?> LookAsync(string key, FlamingoModel model, CancellationToken cancellation)
    {
        var made = model.Resampler;
        if (memory.Get(key) is { } held)
        {
            GatewayMetrics.MemoryHits.Add(1);
            return new ResolvedPicture(key, held, PictureSource.Memory, OriginOf(model));
        }

        if (redis is null || await redis.GetAsync(key, cancellation) is not { } shared) return null;
        // dtype and shape stand outside the checksum, and the key says what they must be
        if (shared.Tensor.Dtype != made.LatentDtype || !shared.Tensor.Shape.AsSpan().SequenceEqual([made.Latents, made.Width])) return null;
        GatewayMetrics.RedisHits.Add(1);
        memory.Put(key, shared);
        return new ResolvedPicture(key, shared, PictureSource.Redis, OriginOf(model));
    }

    // own pictures fly in one call; pictures that another request has in the air are waited for
    private async Task<(TimeSpan Vision, TimeSpan Resample)> FlyAsync(List<RequestedPicture> misses, FlamingoModel model, Dictionary<string, ResolvedPicture> found, CancellationToken cancellation)
    {
        var (mine, others) = (new List<(RequestedPicture Picture, string Key, Flight Flight)>(), new List<(RequestedPicture Picture, Flight Flight)>());
        foreach (var picture in misses)
        {
            var key = KeyOf(picture.Id, model);
            var flight = new Flight();
            var joined = _flights.GetOrAdd(key, flight);
            if (!ReferenceEquals(joined, flight))
            {
                others.Add((picture, joined));
            }
            else if (memory.Get(key) is { } landed)
            {
                // an earlier flight landed between our lookup and now; it put its latents before it left the table
                Remove(key, flight);
                found[picture.Id] = new ResolvedPicture(key, landed, PictureSource.Memory, OriginOf(model));
                flight.Landed.TrySetResult(found[picture.Id]);
            }
            else
            {
                mine.Add((picture, key, flight));
            }
        }

        var times = (Vision: TimeSpan.Zero, Resample: TimeSpan.Zero);
        if (mine.Count > 0)
        {
            // not under the owner's cancellation: waiters of other requests must not fail because the owner left
            var flying = FlyMineAsync(mine, model);
            times = await flying.WaitAsync(cancellation);
            foreach (var (picture, _, flight) in mine) found[picture.Id] = await flight.Landed.Task;
        }

        var again = new List<RequestedPicture>();
        foreach (var (picture, flight) in others)
        {
            var waited = time.GetTimestamp();
            try
            {
                found[picture.Id] = await flight.Landed.Task.WaitAsync(cancellation);
            }
            catch (StageException exception) when (exception.Kind == StageErrorKind.InvalidArgument)
            {
                again.Add(picture); // a picture beside it may be the bad one, and its fields are another caller's
            }

            times.Vision += time.GetElapsedTime(waited);
        }

        if (again.Count == 0) return times;
        var more = await FlyAsync(again, model, found, cancellation);
        return (times.Vision + more.Vision, times.Resample + more.Resample);
    }

    // only this flight: another request may have taken off under the same key since
    private void Remove(string key, Flight flight) => _flights.TryRemove(new KeyValuePair<string, Flight>(key, flight));

    private async Task<(TimeSpan Vision, TimeSpan Resample)> FlyMineAsync(List<(RequestedPicture Picture, string Key, Flight Flight)> mine, FlamingoModel model)
    {
        try
        {
            var times = (Vision: TimeSpan.Zero, Resample: TimeSpan.Zero);
            foreach (var chunk in mine.Chunk(Math.Min(model.Vision.MaxPictures, model.Resampler.MaxItems)))
            {
                var (encoding, visionTime) = await EncodeAsync([.. chunk.Select(item => item.Picture)]);
                var resampleStarted = time.GetTimestamp();
                var resampling = await ResampleAsync([.. encoding.Pictures.Select(picture => picture.Features)]);
                times = (times.Vision + visionTime, times.Resample + time.GetElapsedTime(resampleStarted));
                if (encoding.Pictures.Count != chunk.Length || resampling.Latents.Count != chunk.Length)
                    throw new StageException(StageErrorKind.Internal, $"{chunk.Length} pictures came back as {encoding.Pictures.Count} features and {resampling.Latents.Count} latents.");
                Land(chunk, encoding.WeightsDigest, resampling, model);
            }

            return times;
        }
        catch (Exception exception)
        {
            foreach (var (_, key, flight) in mine)
            {
                Remove(key, flight);
                flight.Landed.TrySetException(exception);
                _ = flight.Landed.Task.Exception; // the owner reports it; without waiters nobody else looks
            }

            throw;
        }
    }

    private async Task<(VisionEncoding Encoding, TimeSpan Time)> EncodeAsync(IReadOnlyList<RequestedPicture> pictures)
    {
        var started = time.GetTimestamp();
        try
        {
            var encoding = await vision.EncodeAsync(new VisionEncodeRequest([.. pictures.Select(picture => picture.File!.Value)]), CancellationToken.None);
            GatewayMetrics.Encodings.Add(pictures.Count);
            return (encoding, time.GetElapsedTime(started));
        }
        catch (StageException exception) when (exception.Kind == StageErrorKind.InvalidArgument)
        {
            throw StageException.Invalid([.. exception.Faults.Select(fault => fault with { Field = PictureFields.Rename(fault.Field, pictures) })]);
        }
    }

    private async Task<Resampling> ResampleAsync(IReadOnlyList<TensorData> features)
    {
        try
        {
            return await resampler.ResampleAsync(features, CancellationToken.None);
        }
        catch (StageException exception) when (exception.Kind == StageErrorKind.InvalidArgument)
        {
            throw await descriptions.MisfitAsync(exception);
        }
    }

    private void Land(IReadOnlyList<(RequestedPicture Picture, string Key, Flight Flight)> chunk, string visionDigest, Resampling resampling, FlamingoModel model)
    {
        // an answer of other weights is used for this request under its own key, never stored under the old one
        var same = visionDigest == model.Vision.WeightsDigest && resampling.WeightsDigest == model.Resampler.WeightsDigest;
        if (!same) descriptions.Forget();
        foreach (var ((picture, key, flight), tensor) in chunk.Zip(resampling.Latents))
        {
            var latents = ChecksummedLatents.Of(tensor);
            var trueKey = same ? key : LatentKey.Compute(picture.Id, visionDigest, resampling.WeightsDigest, model.Vision.PreprocessingVersion, tensor.Dtype, options.TenantSalt);
            if (same)
            {
                memory.Put(key, latents);
                if (redis is not null) _ = redis.PutAsync(key, latents);
            }

            Remove(key, flight);
            flight.Landed.TrySetResult(new ResolvedPicture(trueKey, latents, PictureSource.Encoded, new LatentOrigin(visionDigest, resampling.WeightsDigest)));
        }
    }

    private sealed class Flight
    {
        public TaskCompletionSource<ResolvedPicture> Landed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

internal static class PictureFields
{
    /// <summary>The vision encoder's <c>pictures[i]</c> as the caller's own field.</summary>
    public static string Rename(string field, IReadOnlyList<RequestedPicture> pictures)
    {
        for (var index = 0; index < pictures.Count; index++)
            if (field == $"pictures[{index}]") return pictures[index].Field;
        return field;
    }
}
