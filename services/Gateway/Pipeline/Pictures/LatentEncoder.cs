using Flamingo.Abstractions;
using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>Pixels to latents through both stages, in calls as large as the stages take; what comes back is kept in both tiers.</summary>
public sealed class LatentEncoder(
    IVisionEncoder vision, IResampler resampler, StageDescriptions descriptions, LatentTiers tiers, LatentCacheCounters counters, TimeProvider time)
{
    /// <param name="landed">Called for each picture, by its index, as soon as it is done.</param>
    /// <exception cref="FlamingoException">InvalidArgument for bad pictures, named by the callers' fields; Mismatch where the resampler refuses what the vision encoder made.</exception>
    public async Task<(TimeSpan Vision, TimeSpan Resample)> EncodeAsync(IReadOnlyList<PictureToEncode> pictures, FlamingoModel model, Tenant tenant, Action<int, ResolvedPicture> landed)
    {
        var times = (Vision: TimeSpan.Zero, Resample: TimeSpan.Zero);
        foreach (var chunk in pictures.Index().Chunk(Math.Min(model.Vision.MaxPictures, model.Resampler.MaxItems)))
        {
            var started = time.GetTimestamp();
            var encoding = await SeeAsync([.. chunk.Select(item => item.Item.Picture)]);
            var seen = time.GetElapsedTime(started);

            var resampled = TimeSpan.Zero;
            foreach (var alike in chunk.Zip(encoding.Pictures).GroupBy(item => item.First.Item.Picture.Extras.HasFlag(PictureExtras.Attention))) // attention for those alone that need it
            {
                started = time.GetTimestamp();
                var resampling = await ResampleAsync([.. alike.Select(item => item.Second.Features)], alike.Key);
                var took = time.GetElapsedTime(started);
                foreach (var (place, ((index, picture), features)) in alike.Index())
                {
                    var made = new Made(resampling.Latents[place], alike.Key ? resampling.Attention[place] : null, features.Pooled, (seen / chunk.Length) + (took / alike.Count()), new LatentOrigin(encoding.WeightsDigest, resampling.WeightsDigest));
                    landed(index, Keep(picture, made, model, tenant));
                }

                resampled += took;
            }

            times = (times.Vision + seen, times.Resample + resampled);
        }

        return times;
    }

    private async Task<VisionEncoding> SeeAsync(IReadOnlyList<RequestedPicture> pictures)
    {
        try
        {
            var includePooled = pictures.Any(picture => picture.Extras.HasFlag(PictureExtras.Pooled));
            counters.Encode(pictures.Count);
            var encoding = await vision.EncodeAsync(new VisionEncodeRequest([.. pictures.Select(picture => picture.Input!)], includePooled), CancellationToken.None);
            return encoding.Pictures.Count == pictures.Count && (!includePooled || encoding.Pictures.All(picture => picture.Pooled is not null)) ? encoding
                : throw new FlamingoException(FlamingoErrorKind.Internal, $"{pictures.Count} pictures came back as {encoding.Pictures.Count} features and {encoding.Pictures.Count(picture => picture.Pooled is not null)} embeddings.");
        }
        catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            throw FlamingoException.Invalid([.. exception.Faults.Select(fault => fault with { Field = Rename(fault.Field, pictures) })]);
        }
    }

    private async Task<Resampling> ResampleAsync(IReadOnlyList<TensorData> features, bool includeAttention)
    {
        try
        {
            var resampling = await resampler.ResampleAsync(new ResampleRequest(features, includeAttention), CancellationToken.None);
            return resampling.Latents.Count == features.Count && (!includeAttention || resampling.Attention.Count == features.Count) ? resampling
                : throw new FlamingoException(FlamingoErrorKind.Internal, $"{features.Count} features came back as {resampling.Latents.Count} latents and {resampling.Attention.Count} attentions.");
        }
        catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            throw await descriptions.MisfitAsync(exception);
        }
    }

    private ResolvedPicture Keep(PictureToEncode picture, Made made, FlamingoModel model, Tenant tenant)
    {
        // an answer of other weights is used for this request under its own key, never stored under the old one
        if (made.Origin != LatentOrigin.Of(model))
        {
            descriptions.Forget();
            if (picture.Lease is not null) _ = picture.Lease.ReturnAsync();
            var trueKey = LatentKey.Compute(picture.Picture.Id, made.Origin.Vision, made.Origin.Resampler, model.Vision.PreprocessingVersion, made.Latents.Dtype, tenant.Salt);
            return new ResolvedPicture(trueKey, ChecksummedLatents.Of(made.Latents), PictureSource.Encoded, made.Origin, made.Cost) { Attention = made.Attention, Pooled = made.Pooled };
        }

        var entry = picture.Held ?? new LatentEntry(ChecksummedLatents.Of(made.Latents), made.Cost);
        var values = new List<(string Key, LatentEntry Entry)>();
        if (picture.Held is null) values.Add((picture.Key, entry));
        if (made.Attention is not null) values.Add((LatentKey.OfAttention(picture.Key), new LatentEntry(ChecksummedLatents.Of(made.Attention), made.Cost)));
        if (made.Pooled is not null) values.Add((LatentKey.OfPooled(picture.Key), new LatentEntry(ChecksummedLatents.Of(made.Pooled), made.Cost)));
        tiers.Put(values, picture.Lease);
        return new ResolvedPicture(picture.Key, entry.Latents, PictureSource.Encoded, made.Origin, made.Cost) { Attention = made.Attention, Pooled = made.Pooled };
    }

    // the vision encoder's pictures[i] as the caller's own field
    private static string Rename(string field, IReadOnlyList<RequestedPicture> pictures)
    {
        for (var index = 0; index < pictures.Count; index++)
            if (field == $"pictures[{index}]" || field.StartsWith($"pictures[{index}].", StringComparison.Ordinal)) return pictures[index].Field + field[$"pictures[{index}]".Length..];
        return field;
    }

    private sealed record Made(TensorData Latents, TensorData? Attention, TensorData? Pooled, TimeSpan Cost, LatentOrigin Origin);
}
