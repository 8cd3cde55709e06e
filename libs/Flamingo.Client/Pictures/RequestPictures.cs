using Flamingo.Abstractions;

namespace Flamingo.Client.Pictures;

/// <summary>Copies requests with each of their pictures replaced.</summary>
internal static class RequestPictures
{
    public static FlamingoRequest Replace(FlamingoRequest request, Func<FlamingoVisual, FlamingoVisual> replacement) =>
        request with { Segments = Replace(request.Segments, replacement) };

    public static FlamingoRankRequest Replace(FlamingoRankRequest request, Func<FlamingoVisual, FlamingoVisual> replacement) =>
        request with { Segments = Replace(request.Segments, replacement) };

    public static FlamingoEncodeRequest Replace(FlamingoEncodeRequest request, Func<FlamingoVisual, FlamingoVisual> replacement) =>
        request with { Pictures = [.. request.Pictures.Select(replacement)] };

    public static CaptionTask Replace(CaptionTask task, Func<FlamingoVisual, FlamingoVisual> replacement) =>
        task with { Prompt = Replace(task.Prompt, replacement) };

    public static AnswerTask Replace(AnswerTask task, Func<FlamingoVisual, FlamingoVisual> replacement) =>
        task with { Prompt = Replace(task.Prompt, replacement) };

    public static ClassifyTask Replace(ClassifyTask task, Func<FlamingoVisual, FlamingoVisual> replacement) =>
        task with { Prompt = Replace(task.Prompt, replacement) };

    public static ChatTask Replace(ChatTask task, Func<FlamingoVisual, FlamingoVisual> replacement) =>
        task with { Turns = [.. task.Turns.Select(turn => turn with { Visuals = [.. turn.Visuals.Select(replacement)] })] };

    private static IReadOnlyList<FlamingoSegment> Replace(
        IReadOnlyList<FlamingoSegment> segments, Func<FlamingoVisual, FlamingoVisual> replacement) =>
        [.. segments.Select(segment => segment is FlamingoVisual visual ? replacement(visual) : segment)];

    private static TaskPrompt Replace(TaskPrompt prompt, Func<FlamingoVisual, FlamingoVisual> replacement) => prompt with
    {
        Visual = replacement(prompt.Visual),
        Examples = [.. prompt.Examples.Select(
            example => example with { Visual = example.Visual is { } visual ? replacement(visual) : null })],
    };
}
