using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Prompts;

/// <summary>From a request's segments and its choice of a support set to a prompt that the language model takes.</summary>
public sealed class PromptResolver(LatentCache latents, SupportSetShots shots)
{
    /// <param name="query">Pictures of the segments, in order, already checked.</param>
    /// <param name="needsAttention">Whether attention maps will be drawn.</param>
    /// <exception cref="FlamingoException">
    /// As <see cref="LatentCache.GetOrEncodeAsync"/>; NotFound for a set that is not there; InvalidArgument for a choice that does not fit
    /// it.
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

        var drawn = await shots.DrawAsync(choice, query, segments.Count, tenant, model, cancellation);
        IReadOnlyList<RequestedPicture> examples =
            [.. drawn.Shots.Select(shot => new RequestedPicture(shot.PictureId, null, "support_set"))];
        if (needsAttention && query.Count == 0) examples = WithAttentionOfLast(examples);

        // Where the choice needed the query's embedding, the query's pictures are there already.
        var known = drawn.Query.DistinctBy(picture => picture.Id).ToDictionary(picture => picture.Id, StringComparer.Ordinal);
        IReadOnlyList<RequestedPicture> pictures = [.. examples, .. query];
        var rest = await latents.GetOrEncodeAsync(
            [.. pictures.Where(picture => !known.ContainsKey(picture.Id))], tenant, cancellation,
            ids => shots.FilesAsync(drawn.Set, ids, tenant, cancellation));
        foreach (var picture in rest) known[picture.Id] = picture;

        IReadOnlyList<PictureLatents> all = [.. pictures.Select(picture => known[picture.Id])];
        var shown = drawn.Shots.Zip(
            all, (shot, picture) => (Segment(picture), new TextSegment(shot.Text + model.Language.EndOfChunkToken)));
        var (first, second) = (PictureLatents.Times(drawn.Query), PictureLatents.Times(rest));
        return new ResolvedPrompt(
            [.. shown], Segments(segments, all.Skip(examples.Count)), all,
            (first.Lookup + second.Lookup, first.Vision + second.Vision, first.Resample + second.Resample), drawn.Selected);
    }

    // Whatever is generated sees the last picture.
    private static IReadOnlyList<RequestedPicture> WithAttentionOfLast(IReadOnlyList<RequestedPicture> pictures) =>
        [.. pictures.Select((picture, place) => place == pictures.Count - 1 ? picture with { NeedsAttention = true } : picture)];

    private static IReadOnlyList<PromptSegment> Segments(IReadOnlyList<FlamingoSegment> segments, IEnumerable<PictureLatents> pictures)
    {
        var next = new Queue<PictureLatents>(pictures);
        return [.. segments.Select(segment =>
            segment is FlamingoText text ? (PromptSegment)new TextSegment(text.Text) : Segment(next.Dequeue()))];
    }

    private static PictureSegment Segment(PictureLatents picture) => new(picture.Key, picture.Latents);
}
