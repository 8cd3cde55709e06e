using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Stages;

namespace Flamingo.Gateway.Prompts;

/// <summary>A prompt with latents for every picture: shots of a support set, then the query.</summary>
/// <param name="Shots">In the order selected.</param>
/// <param name="Query">The request's own segments.</param>
/// <param name="Latents">One per picture of shots and query, in order.</param>
/// <param name="Times">That finding and encoding them took.</param>
/// <param name="Selected">Where a support set was asked for.</param>
internal sealed record ResolvedPrompt(
    IReadOnlyList<(PictureSegment Picture, TextSegment Text)> Shots, IReadOnlyList<PromptSegment> Query,
    IReadOnlyList<PictureLatents> Latents, (TimeSpan Lookup, TimeSpan Vision, TimeSpan Resample) Times, SelectedShots? Selected)
{
    /// <summary>Of all pictures, each counted once.</summary>
    public CacheUse Cache { get; } = PictureLatents.Use(Latents);

    /// <summary>In the order selected.</summary>
    public IReadOnlyList<PromptSegment> Segments => Ordered(Enumerable.Range(0, Shots.Count));

    public IReadOnlyList<PictureReport> Reports => [.. Latents.Select(picture => new PictureReport(picture.Id, picture.Source))];

    /// <param name="order">Places among the shots.</param>
    public IReadOnlyList<PromptSegment> Ordered(IEnumerable<int> order) =>
        [.. order.SelectMany(place => new PromptSegment[] { Shots[place].Picture, Shots[place].Text }), .. Query];
}
