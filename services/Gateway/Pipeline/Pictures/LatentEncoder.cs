using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Stages;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <param name="Picture">With its file.</param>
/// <param name="Key">By the weights described.</param>
/// <param name="Held">Latents that are cached already, where only the attention is missing: they stay, so that no answer changes.</param>
public sealed record PictureToEncode(RequestedPicture Picture, string Key, ChecksummedLatents? Held);

/// <summary>Pixels to latents through both stages, in calls as large as the stages take; what comes back is kept in both tiers.</summary>
public sealed class LatentEncoder(
    IVisionEncoder vision, IResampler resampler, StageDescriptions descriptions, LatentTiers tiers, GatewayOptions options, TimeProvider time)
{
    /// <param name="landed">Called for each picture, by its index, as soon as it is done.</param>
    /// <exception cref="StageException">InvalidArgument for bad pictures, named by the callers' fields; Mismatch where the resampler refuses what the vision encoder made.</exception>
    public async Task<(TimeSpan Vision, TimeSpan Resample)> EncodeAsync(IReadOnlyList<PictureToEncode> pictures, FlamingoModel model, Action<int, ResolvedPicture> landed)
    {
        var times = (Vision: TimeSpan.Zero, Resample: TimeSpan.Zero);
        foreach (var chunk in pictures.Index().Chunk(Math.Min(model.Vision.MaxPictures, model.Resampler.MaxItems)))
        {
            var started = time.GetTimestamp();
            var encoding = await SeeAsync([.. chunk.Select(item => item.Item.Picture)]);
            times.Vision += time.GetElapsedTime(started);

            started = time.GetTimestamp();
            foreach (var alike in chunk.Zip(encoding.Pictures).GroupBy(item => item.First.Item.Picture.IncludeAttention)) // attention for those alone that need it
            {
                var resampling = await ResampleAsync([.. alike.Select(item => item.Second.Features)], alike.Key);
                foreach (var (place, ((index, picture), _)) in alike.Index()) landed(index, Keep(picture, encoding.WeightsDigest, resampling, place, model));
            }

            times.Resample += time.GetElapsedTime(started);
        }

        return times;
    }

    private async Task<VisionEncoding> SeeAsync(IReadOnlyList<RequestedPicture> pictures)
    {
        try
        {
            var encoding = await vision.EncodeAsync(new VisionEncodeRequest([.. pictures.Select(picture => picture.File!.Value)]), CancellationToken.None);
            GatewayMetrics.Encodings.Add(pictures.Count);
            return encoding.Pictures.Count == pictures.Count ? encoding
                : throw new StageException(StageErrorKind.Internal, $"{pictures.Count} pictures came back as {encoding.Pictures.Count} features.");
        }
        catch (StageException exception) when (exception.Kind == StageErrorKind.InvalidArgument)
        {
            throw StageException.Invalid([.. exception.Faults.Select(fault => fault with { Field = Rename(fault.Field, pictures) })]);
        }
    }

    private async Task<Resampling> ResampleAsync(IReadOnlyList<TensorData> features, bool includeAttention)
    {
        try
        {
            var resampling = await resampler.ResampleAsync(new ResampleRequest(features, includeAttention), CancellationToken.None);
            return resampling.Latents.Count == features.Count && (!includeAttention || resampling.Attention.Count == features.Count) ? resampling
                : throw new StageException(StageErrorKind.Internal, $"{features.Count} features came back as {resampling.Latents.Count} latents and {resampling.Attention.Count} attentions.");
        }
        catch (StageException exception) when (exception.Kind == StageErrorKind.InvalidArgument)
        {
            throw await descriptions.MisfitAsync(exception);
        }
    }

    private ResolvedPicture Keep(PictureToEncode picture, string visionDigest, Resampling resampling, int place, FlamingoModel model)
    {
        // an answer of other weights is used for this request under its own key, never stored under the old one
        var origin = new LatentOrigin(visionDigest, resampling.WeightsDigest);
        var (tensor, attention) = (resampling.Latents[place], picture.Picture.IncludeAttention ? resampling.Attention[place] : null);
        if (origin != LatentOrigin.Of(model))
        {
            descriptions.Forget();
            var trueKey = LatentKey.Compute(picture.Picture.Id, visionDigest, resampling.WeightsDigest, model.Vision.PreprocessingVersion, tensor.Dtype, options.TenantSalt);
            return new ResolvedPicture(trueKey, ChecksummedLatents.Of(tensor), PictureSource.Encoded, origin, attention);
        }

        var latents = picture.Held ?? ChecksummedLatents.Of(tensor);
        if (picture.Held is null) tiers.Put(picture.Key, latents);
        if (attention is not null) tiers.Put(LatentKey.OfAttention(picture.Key), ChecksummedLatents.Of(attention));
        return new ResolvedPicture(picture.Key, latents, PictureSource.Encoded, origin, attention);
    }

    // the vision encoder's pictures[i] as the caller's own field
    private static string Rename(string field, IReadOnlyList<RequestedPicture> pictures)
    {
        for (var index = 0; index < pictures.Count; index++)
            if (field == $"pictures[{index}]") return pictures[index].Field;
        return field;
    }
}
