using Flamingo.Abstractions;
using Flamingo.Gateway.Pictures;
using Flamingo.Stages;

namespace Flamingo.Gateway.Prompts;

/// <summary>A prompt with latents for every picture: shots of a support set, then the query.</summary>
/// <param name="Shots">In the order selected.</param>
/// <param name="Query">The request's own segments.</param>
/// <param name="Pictures">Of shots and query, in order.</param>
/// <param name="Selected">Where a support set was asked for.</param>
internal sealed record ResolvedPrompt(
    IReadOnlyList<(PictureSegment Picture, TextSegment Text)> Shots, IReadOnlyList<PromptSegment> Query, IReadOnlyList<RequestedPicture> Pictures, Resolution Resolution, SelectedShots? Selected)
{
    /// <summary>In the order selected.</summary>
    public IReadOnlyList<PromptSegment> Segments => Ordered(Enumerable.Range(0, Shots.Count));

    /// <param name="order">Places among the shots.</param>
    public IReadOnlyList<PromptSegment> Ordered(IEnumerable<int> order) => [.. order.SelectMany(place => new PromptSegment[] { Shots[place].Picture, Shots[place].Text }), .. Query];

    public IReadOnlyList<PictureReport> Reports => [.. Pictures.Select(picture => new PictureReport(picture.Id, Resolution.Pictures[picture.Id].Source))];
}
