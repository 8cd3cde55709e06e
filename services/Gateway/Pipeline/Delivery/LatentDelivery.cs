using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Operations;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Delivery;

/// <summary>
/// Calls the language model and omits latents that it is believed to hold already. If the belief is wrong, the call is made again
/// with all latents, so that any replica can answer it.
/// </summary>
public sealed class LatentDelivery(ILanguageModel language, GatewayMetrics metrics, ILogger<LatentDelivery> logger)
{
    // 8192 values take about two megabytes. A value that is kept too long costs one more call; a value that is dropped too soon costs
    // sending its latents again.
    private const int MostValues = 8192;

    // Values that the language model is believed to hold: their keys and checksums.
    private readonly RecentlyAdded<bool> _delivered = new(MostValues);

    /// <param name="request">The request with the latents of all its pictures.</param>
    /// <exception cref="FlamingoException">Any kind except LatentsMissing.</exception>
    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(
        LanguageModelRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        // The call may be made again until the first event has been passed on.
        await using var stream = await SendAsync(request.Segments, async segments =>
        {
            var events = language.GenerateAsync(request with { Segments = segments }, cancellation).GetAsyncEnumerator(cancellation);
            try
            {
                return new BegunStream(events, await events.MoveNextAsync());
            }
            catch
            {
                await events.DisposeAsync();
                throw;
            }
        });
        for (var any = stream.Any; any; any = await stream.Events.MoveNextAsync()) yield return stream.Events.Current;
    }

    /// <inheritdoc cref="GenerateAsync"/>
    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation) =>
        SendAsync(request.Segments, segments => language.RankAsync(request with { Segments = segments }, cancellation));

    private async Task<T> SendAsync<T>(IReadOnlyList<PromptSegment> all, Func<IReadOnlyList<PromptSegment>, Task<T>> call)
    {
        var withoutDelivered = all.Select(segment =>
            segment is PictureSegment picture && _delivered.Find(Value(picture)) ? picture with { Latents = null } : segment).ToList();
        T answer;
        try
        {
            answer = await call(withoutDelivered);
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.LatentsMissing)
        {
            metrics.CountRedelivery();
            var missing = refusal.Missing.ToHashSet(StringComparer.Ordinal);
            var again = all.OfType<PictureSegment>().Where(picture => refusal.IsAnyMissing || missing.Contains(picture.Key)).ToList();
            GatewayLog.SentAgain(logger, again.Count);
            foreach (var picture in again) _delivered.Remove(Value(picture));
            answer = await SendAllAsync(all, call);
        }

        foreach (var picture in all.OfType<PictureSegment>()) _delivered.Add(Value(picture), true);
        return answer;
    }

    private static string Value(PictureSegment picture) => $"{picture.Key}/{Convert.ToHexStringLower(picture.Checksum.Span)}";

    private static async Task<T> SendAllAsync<T>(IReadOnlyList<PromptSegment> all, Func<IReadOnlyList<PromptSegment>, Task<T>> call)
    {
        try
        {
            return await call(all);
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.LatentsMissing)
        {
            throw new FlamingoException(FlamingoErrorKind.Internal,
                "The language model reports latents as missing that were sent with the request.", refusal);
        }
    }

    private sealed record BegunStream(IAsyncEnumerator<AnswerEvent> Events, bool Any) : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => Events.DisposeAsync();
    }
}
