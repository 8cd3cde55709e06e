using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Operations;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Delivery;

/// <summary>
/// The language model as the pipeline asks it: latents are sent only where the language model is not believed to hold them already. A
/// wrong belief costs one more call, with all latents, so that any replica can answer it.
/// </summary>
public sealed class LatentDelivery(ILanguageModel language, GatewayMetrics metrics, ILogger<LatentDelivery> logger)
{
    // About a megabyte of keys. A key that is kept too long costs one more call; a key that is dropped too soon costs its latents on the
    // wire once more.
    private const int MostKeys = 8192;

    private readonly RecentlyAdded<bool> _delivered = new(MostKeys); // keys that the language model is believed to hold

    /// <param name="request">With all latents.</param>
    /// <exception cref="FlamingoException">Any kind but LatentsMissing.</exception>
    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(
        LanguageModelRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        // The call may be made again until the first event has been passed on.
        await using var stream = await AskAsync(request.Segments, async segments =>
        {
            var begun = language.GenerateAsync(request with { Segments = segments }, cancellation).GetAsyncEnumerator(cancellation);
            try
            {
                return new Begun(begun, await begun.MoveNextAsync());
            }
            catch
            {
                await begun.DisposeAsync();
                throw;
            }
        });
        for (var any = stream.Any; any; any = await stream.Events.MoveNextAsync()) yield return stream.Events.Current;
    }

    /// <inheritdoc cref="GenerateAsync"/>
    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation) =>
        AskAsync(request.Segments, segments => language.RankAsync(request with { Segments = segments }, cancellation));

    private async Task<T> AskAsync<T>(IReadOnlyList<PromptSegment> all, Func<IReadOnlyList<PromptSegment>, Task<T>> ask)
    {
        var needed = all.Select(segment =>
            segment is PictureSegment picture && _delivered.Find(picture.Key) ? picture with { Latents = null } : segment).ToList();
        T answer;
        try
        {
            answer = await ask(needed);
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.LatentsMissing)
        {
            metrics.CountRedelivery();
            GatewayLog.SentAgain(logger, refusal.Missing.Count);
            foreach (var key in refusal.Missing) _delivered.Remove(key);
            answer = await AskWithAllAsync(all, ask);
        }

        foreach (var picture in all.OfType<PictureSegment>()) _delivered.Add(picture.Key, true);
        return answer;
    }

    private static async Task<T> AskWithAllAsync<T>(IReadOnlyList<PromptSegment> all, Func<IReadOnlyList<PromptSegment>, Task<T>> ask)
    {
        try
        {
            return await ask(all);
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.LatentsMissing)
        {
            throw new FlamingoException(FlamingoErrorKind.Internal, "The language model asks for latents that were sent to it.", refusal);
        }
    }

    private sealed record Begun(IAsyncEnumerator<AnswerEvent> Events, bool Any) : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => Events.DisposeAsync();
    }
}
