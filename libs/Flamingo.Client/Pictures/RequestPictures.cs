using Flamingo.Abstractions;

namespace Flamingo.Client.Pictures;

/// <summary>Requests with each of their pictures replaced.</summary>
internal static class RequestPictures
{
    public static FlamingoRequest Replace(FlamingoRequest request, Func<FlamingoVisual, FlamingoVisual> form) =>
        request with { Segments = Replace(request.Segments, form) };

    public static FlamingoRankRequest Replace(FlamingoRankRequest request, Func<FlamingoVisual, FlamingoVisual> form) =>
        request with { Segments = Replace(request.Segments, form) };

    public static FlamingoEncodeRequest Replace(FlamingoEncodeRequest request, Func<FlamingoVisual, FlamingoVisual> form) =>
        request with { Pictures = [.. request.Pictures.Select(form)] };

    public static CaptionTask Replace(CaptionTask task, Func<FlamingoVisual, FlamingoVisual> form) =>
        task with { Prompt = Replace(task.Prompt, form) };

    public static AnswerTask Replace(AnswerTask task, Func<FlamingoVisual, FlamingoVisual> form) =>
        task with { Prompt = Replace(task.Prompt, form) };

    public static ClassifyTask Replace(ClassifyTask task, Func<FlamingoVisual, FlamingoVisual> form) =>
        task with { Prompt = Replace(task.Prompt, form) };

    public static ChatTask Replace(ChatTask task, Func<FlamingoVisual, FlamingoVisual> form) =>
        task with { Turns = [.. task.Turns.Select(turn => turn with { Visuals = [.. turn.Visuals.Select(form)] })] };

    private static IReadOnlyList<FlamingoSegment> Replace(
        IReadOnlyList<FlamingoSegment> segments, Func<FlamingoVisual, FlamingoVisual> form) =>
        [.. segments.Select(segment => segment is FlamingoVisual visual ? form(visual) : segment)];

    private static TaskPrompt Replace(TaskPrompt prompt, Func<FlamingoVisual, FlamingoVisual> form) => prompt with
    {
        Visual = form(prompt.Visual),
        Examples = [.. prompt.Examples.Select(example => example with { Visual = example.Visual is { } visual ? form(visual) : null })],
    };
}
