using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Stages;

namespace Flamingo.Gateway.Prompts;

/// <summary>A prompt with latents for every picture: the shots of a support set, then the query.</summary>
/// <param name="Shots">The shots in the selected order.</param>
/// <param name="Query">The request's own segments.</param>
/// <param name="Latents">One per picture of shots and query, in order.</param>
/// <param name="Times">Time spent in lookup, vision encoder and resampler.</param>
/// <param name="Selected">The selected shots; null if the request named no support set.</param>
internal sealed record ResolvedPrompt(
    IReadOnlyList<(PictureSegment Picture, TextSegment Text)> Shots, IReadOnlyList<PromptSegment> Query,
    IReadOnlyList<PictureLatents> Latents, (TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample) Times, SelectedShots? Selected)
{
    /// <summary>What the latent cache did; each picture counts once.</summary>
    public CacheUse Cache { get; } = PictureLatents.Use(Latents);

    /// <summary>All segments, with the shots in the selected order.</summary>
    public IReadOnlyList<PromptSegment> Segments => Ordered(Enumerable.Range(0, Shots.Count));

    public IReadOnlyList<PictureReport> Reports => [.. Latents.Select(picture => picture.Report)];

    /// <summary>Returns all segments, with the shots in another order.</summary> <param name="order">Indices of the shots.</param>
    public IReadOnlyList<PromptSegment> Ordered(IEnumerable<int> order) =>
        [.. order.SelectMany(index => new PromptSegment[] { Shots[index].Picture, Shots[index].Text }), .. Query];
}
