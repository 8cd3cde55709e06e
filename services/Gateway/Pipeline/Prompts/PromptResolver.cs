using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Prompts;

/// <summary>Turns a request's segments and its choice from a support set into a prompt for the language model.</summary>
public sealed class PromptResolver(LatentCache latents, SupportSetShots shots)
{
    /// <param name="query">The pictures of the segments, in order; they must have been checked.</param>
    /// <param name="needsAttention">Whether attention maps will be computed.</param>
    /// <exception cref="FlamingoException">
    /// As <see cref="LatentCache.GetOrEncodeAsync"/>, but NotFound names only pictures of the segments; NotFound if the support set
    /// does not exist or has lost pictures; InvalidArgument if the choice does not fit the set; Aborted if the set was changed twice
    /// while it was read.
    /// </exception>
    internal async Task<ResolvedPrompt> ResolveAsync(
        IReadOnlyList<FlamingoSegment> segments, IReadOnlyList<RequestedPicture> query, SupportSetChoice? choice, bool needsAttention,
        Tenant tenant, FlamingoModel model, CancellationToken cancellation)
    {
        if (needsAttention) query = WithAttentionOfLast(query);
        if (choice is null)
        {
            var own = await latents.GetOrEncodeAsync(query, tenant, cancellation);
            return new ResolvedPrompt([], Segments(segments, own), own, PictureLatents.Times(own), null);
        }

        // Pictures of the set can be missing because it was replaced or deleted since it was read. It is then read once more. The caller,
        // who did not send them, is never asked for them.
        var set = await shots.GetAsync(choice, tenant, cancellation);
        try
        {
            return await ResolveAsync(set, segments, query, choice, needsAttention, tenant, model, cancellation);
        }
        catch (FlamingoException missing) when (LacksOf(set, missing))
        {
            var (before, now) = (set.Revision, await shots.GetAsync(choice, tenant, cancellation));
            try
            {
                return await ResolveAsync(now, segments, query, choice, needsAttention, tenant, model, cancellation);
            }
            catch (FlamingoException again) when (LacksOf(now, again))
            {
                List<string> own = [.. again.Missing.Intersect(query.Select(picture => picture.Id))];
                throw own.Count > 0 ? MissingOf(own) : SupportSetRefusals.LostPictures(choice.Name, isChanged: now.Revision != before);
            }
        }
    }

    private static bool LacksOf(StoredSet set, FlamingoException refusal) =>
        refusal is { Kind: FlamingoErrorKind.NotFound, MissingResource: FlamingoException.Picture }
        && refusal.Missing.Intersect(set.Shots.Select(shot => shot.PictureId)).Any();

    private static FlamingoException MissingOf(IReadOnlyList<string> pictures) =>
        new(FlamingoErrorKind.NotFound, $"The service no longer holds these pictures: {string.Join(", ", pictures)}. Send the bytes again.")
        {
            Missing = pictures,
        };

    private async Task<ResolvedPrompt> ResolveAsync(
        StoredSet set, IReadOnlyList<FlamingoSegment> segments, IReadOnlyList<RequestedPicture> query, SupportSetChoice choice,
        bool needsAttention, Tenant tenant, FlamingoModel model, CancellationToken cancellation)
    {
        var selection = await shots.SelectAsync(set, choice, query, segments.Count, tenant, model, cancellation);
        IReadOnlyList<RequestedPicture> examples =
            [.. selection.Shots.Select(shot => new RequestedPicture(shot.PictureId, null, "support_set"))];
        if (needsAttention && query.Count == 0) examples = WithAttentionOfLast(examples);

        // If the selection needed the query's embedding, the query's pictures have already been resolved.
        var known = selection.Query.DistinctBy(picture => picture.Id).ToDictionary(picture => picture.Id, StringComparer.Ordinal);
        IReadOnlyList<RequestedPicture> pictures = [.. examples, .. query];
        var remaining = await latents.GetOrEncodeAsync(
            [.. pictures.Where(picture => !known.ContainsKey(picture.Id))], tenant, cancellation,
            ids => shots.FilesAsync(selection.Set, ids, tenant, cancellation));
        foreach (var picture in remaining) known[picture.Id] = picture;

        IReadOnlyList<PictureLatents> all = [.. pictures.Select(picture => known[picture.Id])];
        var shotSegments = selection.Shots.Zip(
            all, (shot, picture) => (Segment(picture), new TextSegment(shot.Text + model.Language.EndOfChunkToken)));
        var (first, second) = (PictureLatents.Times(selection.Query), PictureLatents.Times(remaining));
        return new ResolvedPrompt(
            [.. shotSegments], Segments(segments, all.Skip(examples.Count)), all,
            (first.Lookup + second.Lookup, first.Vision + second.Vision, first.Resample + second.Resample), selection.Selected);
    }

    // Generated tokens attend to the last picture.
    private static IReadOnlyList<RequestedPicture> WithAttentionOfLast(IReadOnlyList<RequestedPicture> pictures) =>
        [.. pictures.Select((picture, index) => index == pictures.Count - 1 ? picture with { NeedsAttention = true } : picture)];

    private static IReadOnlyList<PromptSegment> Segments(IReadOnlyList<FlamingoSegment> segments, IEnumerable<PictureLatents> pictures)
    {
        var next = new Queue<PictureLatents>(pictures);
        return [.. segments.Select(segment =>
            segment is FlamingoText text ? (PromptSegment)new TextSegment(text.Text) : Segment(next.Dequeue()))];
    }

    private static PictureSegment Segment(PictureLatents picture) => new(picture.Key, picture.Latents);
}
