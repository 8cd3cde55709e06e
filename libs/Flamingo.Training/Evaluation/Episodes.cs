using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.Training.Evaluation;

/// <summary>A held-out few-shot question with its exact answer.</summary>
/// <param name="Task">Name of the task. Episodes whose name begins with "naming" are also asked with fewer of their shots.</param>
/// <param name="Shots">Examples in the order of the prompt.</param>
/// <param name="Query">The picture that is asked about, and the text before the answer.</param>
/// <param name="Answer">The right answer, with the space before it where there is one.</param>
public sealed record Episode(string Task, IReadOnlyList<EpisodePart> Shots, EpisodePart Query, string Answer);

/// <summary>A picture and the text that follows it.</summary>
/// <param name="Picture">Path of the file.</param>
public sealed record EpisodePart(string Picture, string Text);

/// <summary>Reads episodes: JSON lines as in tests/reference/shapes/evaluation, with pictures in a folder beside the file.</summary>
public static class Episodes
{
    private static readonly int[] NamingShots = [0, 1, 2, 4, 8];

    /// <exception cref="CheckpointException">
    /// A line is damaged or names a picture that is missing; the message has file and line.
    /// </exception>
    public static IReadOnlyList<Episode> Read(string file)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        var episodes = new List<Episode>();
        foreach (var (index, line) in File.ReadLines(file).Index())
        {
            if (line.Length == 0) continue;
            try
            {
                using var json = JsonDocument.Parse(line);
                var root = json.RootElement;
                episodes.Add(new Episode(
                    Text(root, "task"), [.. root.GetProperty("shots").EnumerateArray().Select(shot => Part(shot, "text", folder))],
                    Part(root.GetProperty("query"), "prompt", folder), Text(root, "answer")));
            }
            catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
            {
                throw new CheckpointException($"{file}, line {index + 1}, is no episode: {exception.Message} An episode has task, "
                    + "shots (picture, text), query (picture, prompt) and answer.", exception);
            }
        }

        return episodes.Count > 0 ? episodes : throw new CheckpointException($"{file} has no episode.");
    }

    /// <summary>Every question that is asked, with the name under which its result counts.</summary>
    public static IEnumerable<(string Name, Episode Episode)> Asked(IEnumerable<Episode> episodes) =>
        from episode in episodes
        from shots in episode.Task.StartsWith("naming", StringComparison.Ordinal)
            ? NamingShots.Where(count => count <= episode.Shots.Count) : [episode.Shots.Count]
        select ($"{episode.Task} at {shots} shots", episode with { Shots = [.. episode.Shots.Take(shots)] });

    private static EpisodePart Part(JsonElement part, string text, string folder)
    {
        var name = Text(part, "picture");
        var path = new[] { Path.Combine(folder, name), Path.Combine(folder, "pictures", name) }.FirstOrDefault(File.Exists)
            ?? throw new InvalidOperationException($"The picture {name} is not beside the file nor in its folder pictures.");
        return new EpisodePart(path, Text(part, text));
    }

    private static string Text(JsonElement element, string name) =>
        element.GetProperty(name).GetString() ?? throw new InvalidOperationException($"{name} is null.");
}
