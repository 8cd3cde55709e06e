using Flamingo.Abstractions;
using Flamingo.Gateway.Pictures;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Prompts;

/// <summary>From a request's segments and its choice of a support set to a prompt that the language model takes.</summary>
public sealed class PromptResolver(LatentResolver latents, SupportSetShots shots)
{
    /// <param name="query">Pictures of the segments, in order, already checked.</param>
    /// <param name="needsAttention">Whether attention maps will be drawn.</param>
    /// <exception cref="FlamingoException">As <see cref="LatentResolver.ResolveAsync"/>; NotFound for a set that is not there; InvalidArgument for a choice that does not fit it.</exception>
    internal async Task<ResolvedPrompt> ResolveAsync(
        IReadOnlyList<FlamingoSegment> segments, IReadOnlyList<RequestedPicture> query, SupportSetChoice? choice, bool needsAttention, Tenant tenant, FlamingoModel model, CancellationToken cancellation)
    {
        if (needsAttention) query = LastSeen(query);
        if (choice is null)
        {
            var own = await latents.ResolveAsync(RequestedPicture.Distinct(query), tenant, cancellation);
            return new ResolvedPrompt([], Segments(segments, query, own), query, own, null);
        }

        var drawn = await shots.DrawAsync(choice, query, segments.Count, tenant, model, cancellation);
        IReadOnlyList<RequestedPicture> examples = [.. drawn.Shots.Select(shot => new RequestedPicture(shot.PictureId, null, "support_set"))];
        if (needsAttention && query.Count == 0) examples = LastSeen(examples);
        IReadOnlyList<RequestedPicture> pictures = [.. examples, .. query];
        var resolution = drawn.Query.With(await ResolveAsync(pictures, drawn, tenant, cancellation));
        var shown = drawn.Shots.Select(shot => (Picture(shot.PictureId, resolution), new TextSegment(shot.Text + model.Language.EndOfChunkToken))).ToList();
        return new ResolvedPrompt(shown, Segments(segments, query, resolution), pictures, resolution, drawn.Selected);
    }

    // whatever is generated sees the last picture
    private static IReadOnlyList<RequestedPicture> LastSeen(IReadOnlyList<RequestedPicture> pictures) =>
        [.. pictures.Select((picture, place) => place == pictures.Count - 1 ? picture with { Extras = picture.Extras | PictureExtras.Attention } : picture)];

    // most shots' latents are cached; the set's own files serve those that are not
    private async Task<Resolution> ResolveAsync(IReadOnlyList<RequestedPicture> pictures, DrawnShots drawn, Tenant tenant, CancellationToken cancellation)
    {
        try
        {
            return await latents.ResolveAsync(RequestedPicture.Distinct(pictures), tenant, cancellation);
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.NotFound)
        {
            var files = await shots.FilesAsync(drawn, refusal.Missing, tenant, cancellation);
            if (files.Count == 0) throw;
            return await latents.ResolveAsync(RequestedPicture.Distinct(pictures.Select(picture => picture.Input is null && files.TryGetValue(picture.Id, out var input) ? picture with { Input = input } : picture)), tenant, cancellation);
        }
    }

    private static List<PromptSegment> Segments(IReadOnlyList<FlamingoSegment> segments, IReadOnlyList<RequestedPicture> pictures, Resolution resolution)
    {
        var next = 0;
        return [.. segments.Select(segment => segment is FlamingoText text ? (PromptSegment)new TextSegment(text.Text) : Picture(pictures[next++].Id, resolution))];
    }

    private static PictureSegment Picture(string id, Resolution resolution) => new(resolution.Pictures[id].Key, resolution.Pictures[id].Latents);
}
