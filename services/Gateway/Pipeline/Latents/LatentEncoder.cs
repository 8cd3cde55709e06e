using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Latents;

/// <summary>
/// Encodes pictures to latents through the vision encoder and the resampler, in calls as large as the stages accept. It caches
/// nothing.
/// </summary>
public sealed class LatentEncoder(
    IVisionEncoder vision, IResampler resampler, StageDescriptions descriptions, LatentCacheCounters counters, GatewayOptions options,
    TimeProvider time)
{
    /// <summary>Returns each picture once, as soon as its call has completed. The order may differ from the order of the request.</summary>
    /// <param name="pictures">The pictures with their files.</param>
    /// <exception cref="FlamingoException">
    /// InvalidArgument for pictures that cannot be decoded, named by the callers' fields; Mismatch if the resampler refuses the
    /// features of the vision encoder; DeadlineExceeded if a stage has not answered within <see cref="GatewayOptions.EncodeTimeout"/>.
    /// </exception>
    /// <exception cref="OperationCanceledException">The token was cancelled, and the stage has ended its work.</exception>
    public async IAsyncEnumerable<PictureLatents> EncodeAsync(
        IReadOnlyList<RequestedPicture> pictures, FlamingoModel model, Tenant tenant,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        var total = (Vision: TimeSpan.Zero, Resample: TimeSpan.Zero);
        foreach (var chunk in pictures.Chunk(Math.Min(model.Vision.MaxPictures, model.Resampler.MaxItems)))
        {
            cancellation.ThrowIfCancellationRequested();
            var started = time.GetTimestamp();
            var encoding = await EncodeFeaturesAsync(chunk, cancellation);
            var vision = time.GetElapsedTime(started);
            total.Vision += vision;

            // Attention is requested only for the pictures that need it.
            foreach (var group in chunk.Zip(encoding.Pictures).GroupBy(item => item.First.NeedsAttention).Select(pairs => pairs.ToList()))
            {
                started = time.GetTimestamp();
                var needsAttention = group[0].First.NeedsAttention;
                var resampling = await ResampleAsync([.. group.Select(item => item.Second.Features)], needsAttention, cancellation);
                var resample = time.GetElapsedTime(started);
                total.Resample += resample;
                foreach (var (index, (picture, features)) in group.Index())
                {
                    var latents = resampling.Latents[index];
                    if (!latents.IsFinite())
                        throw new FlamingoException(
                            FlamingoErrorKind.Internal,
                            $"The latents of {picture.Field} are not finite. They are not cached; other pictures are not affected.");
                    var key = LatentKey.Compute(
                        picture.Id, encoding.WeightsDigest, resampling.WeightsDigest, model.Vision.PreprocessingVersion, latents.Dtype,
                        tenant.Salt);
                    yield return new PictureLatents(picture.Id, key, ChecksummedLatents.Of(latents), PictureSource.Encoded)
                    {
                        Weights = (encoding.WeightsDigest, resampling.WeightsDigest),
                        Cost = (vision / chunk.Length) + (resample / group.Count),
                        Attention = needsAttention ? resampling.Attention[index] : null,
                        Pooled = features.Pooled,
                        Vision = total.Vision,
                        Resample = total.Resample,
                    };
                }
            }
        }
    }

    private async Task<VisionEncoding> EncodeFeaturesAsync(IReadOnlyList<RequestedPicture> pictures, CancellationToken cancellation)
    {
        try
        {
            var includePooled = pictures.Any(picture => picture.NeedsPooled);
            counters.Encode(pictures.Count);
            var request = new VisionEncodeRequest([.. pictures.Select(picture => picture.Input!)], includePooled);
            var encoding = await WithDeadlineAsync("vision encoder", "encode", token => vision.EncodeAsync(request, token), cancellation);
            var pooled = encoding.Pictures.Count(picture => picture.Pooled is not null);
            return encoding.Pictures.Count == pictures.Count && (!includePooled || pooled == pictures.Count) ? encoding
                : throw new FlamingoException(
                    FlamingoErrorKind.Internal,
                    $"The vision encoder returned {encoding.Pictures.Count} features and {pooled} embeddings for "
                    + $"{pictures.Count} pictures.");
        }
        catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            throw FlamingoException.Invalid(
                [.. exception.Faults.Select(fault => fault with { Field = CallersField(fault.Field, pictures) })], exception.FurtherFaults);
        }
    }

    private async Task<Resampling> ResampleAsync(
        IReadOnlyList<TensorData> features, bool includeAttention, CancellationToken cancellation)
    {
        try
        {
            var request = new ResampleRequest(features, includeAttention);
            var resampling =
                await WithDeadlineAsync("resampler", "resample", token => resampler.ResampleAsync(request, token), cancellation);
            var (latents, attention) = (resampling.Latents.Count, resampling.Attention.Count);
            return latents == features.Count && (!includeAttention || attention == features.Count) ? resampling
                : throw new FlamingoException(
                    FlamingoErrorKind.Internal, $"The resampler returned {latents} latents and {attention} attentions for "
                        + $"{features.Count} features.");
        }
        catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            throw await descriptions.MisfitAsync(exception);
        }
    }

    // After a cancellation, the stage's call is still waited for, because it returns when its work has ended. Only the deadline ends
    // the wait for a call that hangs.
    private async Task<T> WithDeadlineAsync<T>(
        string stage, string step, Func<CancellationToken, Task<T>> call, CancellationToken cancellation)
    {
        using var span = RequestTelemetry.Steps.StartActivity(step);
        using var deadline = new CancellationTokenSource(options.EncodeTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellation);
        try
        {
            return await call(either.Token).WaitAsync(deadline.Token);
        }
        catch (Exception exception)
            when (deadline.IsCancellationRequested && exception is OperationCanceledException or FlamingoException
                { Kind: FlamingoErrorKind.Cancelled })
        {
            cancellation.ThrowIfCancellationRequested();
            throw new FlamingoException(
                FlamingoErrorKind.DeadlineExceeded,
                $"The {stage} has not answered within {options.EncodeTimeout} (Gateway:EncodeTimeout). Retry the request; if this lasts, "
                + $"restart the {stage}.",
                exception);
        }
    }

    // Translates the vision encoder's field pictures[i] to the field in which the caller sent that picture.
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
