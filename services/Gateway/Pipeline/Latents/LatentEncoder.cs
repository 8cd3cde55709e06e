using Flamingo.Abstractions;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Latents;

/// <summary>From pixels to latents through both stages, in calls as large as the stages take. Nothing is cached here.</summary>
public sealed class LatentEncoder(
    IVisionEncoder vision, IResampler resampler, StageDescriptions descriptions, LatentCacheCounters counters, TimeProvider time)
{
    /// <summary>Answers with each picture once, as soon as its call is done, and not in the order of the question.</summary>
    /// <param name="pictures">With their files.</param>
    /// <exception cref="FlamingoException">
    /// InvalidArgument for bad pictures, named by the callers' fields; Mismatch where the resampler refuses what the vision encoder made.
    /// </exception>
    public async IAsyncEnumerable<PictureLatents> EncodeAsync(IReadOnlyList<RequestedPicture> pictures, FlamingoModel model, Tenant tenant)
    {
        var total = (Vision: TimeSpan.Zero, Resample: TimeSpan.Zero);
        foreach (var chunk in pictures.Chunk(Math.Min(model.Vision.MaxPictures, model.Resampler.MaxItems)))
        {
            var started = time.GetTimestamp();
            var encoding = await EncodeFeaturesAsync(chunk);
            var vision = time.GetElapsedTime(started);
            total.Vision += vision;

            // The resampler is asked for attention over those pictures alone that need it.
            foreach (var alike in chunk.Zip(encoding.Pictures).GroupBy(item => item.First.NeedsAttention).Select(group => group.ToList()))
            {
                started = time.GetTimestamp();
                var needsAttention = alike[0].First.NeedsAttention;
                var resampling = await ResampleAsync([.. alike.Select(item => item.Second.Features)], needsAttention);
                var resample = time.GetElapsedTime(started);
                total.Resample += resample;
                foreach (var (place, (picture, features)) in alike.Index())
                {
                    var latents = resampling.Latents[place];
                    var key = LatentKey.Compute(
                        picture.Id, encoding.WeightsDigest, resampling.WeightsDigest, model.Vision.PreprocessingVersion, latents.Dtype,
                        tenant.Salt);
                    yield return new PictureLatents(picture.Id, key, ChecksummedLatents.Of(latents), PictureSource.Encoded)
                    {
                        Weights = (encoding.WeightsDigest, resampling.WeightsDigest),
                        Cost = (vision / chunk.Length) + (resample / alike.Count),
                        Attention = needsAttention ? resampling.Attention[place] : null,
                        Pooled = features.Pooled,
                        Vision = total.Vision,
                        Resample = total.Resample,
                    };
                }
            }
        }
    }

    private async Task<VisionEncoding> EncodeFeaturesAsync(IReadOnlyList<RequestedPicture> pictures)
    {
        try
        {
            var includePooled = pictures.Any(picture => picture.NeedsPooled);
            counters.Encode(pictures.Count);
            var encoding = await vision.EncodeAsync(
                new VisionEncodeRequest([.. pictures.Select(picture => picture.Input!)], includePooled), CancellationToken.None);
            var pooled = encoding.Pictures.Count(picture => picture.Pooled is not null);
            return encoding.Pictures.Count == pictures.Count && (!includePooled || pooled == pictures.Count) ? encoding
                : throw new FlamingoException(
                    FlamingoErrorKind.Internal,
                    $"{pictures.Count} pictures came back as {encoding.Pictures.Count} features and {pooled} embeddings.");
        }
        catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            throw FlamingoException.Invalid(
                [.. exception.Faults.Select(fault => fault with { Field = CallersField(fault.Field, pictures) })]);
        }
    }

    private async Task<Resampling> ResampleAsync(IReadOnlyList<TensorData> features, bool includeAttention)
    {
        try
        {
            var resampling = await resampler.ResampleAsync(new ResampleRequest(features, includeAttention), CancellationToken.None);
            var (latents, attention) = (resampling.Latents.Count, resampling.Attention.Count);
            return latents == features.Count && (!includeAttention || attention == features.Count) ? resampling
                : throw new FlamingoException(
                    FlamingoErrorKind.Internal, $"{features.Count} features came back as {latents} latents and {attention} attentions.");
        }
        catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            throw await descriptions.MisfitAsync(exception);
        }
    }

    // From the vision encoder's pictures[i] to the field in which the caller sent that picture.
    private static string CallersField(string field, IReadOnlyList<RequestedPicture> pictures)
    {
        foreach (var (index, picture) in pictures.Index())
        {
            var name = $"pictures[{index}]";
            if (field == name || field.StartsWith(name + ".", StringComparison.Ordinal)) return picture.Field + field[name.Length..];
        }

        return field;
    }
}
