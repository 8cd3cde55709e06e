using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>
/// Reads episodes: JSON lines as in tests/reference/shapes/evaluation, with the pictures beside the file or in its folder
/// <c>pictures</c>. Each episode has shots of its own. An episode whose task begins with "naming" is asked with the first 0, 1, 2, 4 and 8
/// of them, and any other with all of them. Ids are positions among the episodes, from 0.
/// </summary>
public static class Episodes
{
    private const string Remedy = "An episode has task, shots (picture, text), query (picture, prompt) and answer.";

    private static readonly int[] NamingShots = [0, 1, 2, 4, 8];

    /// <summary>Reads a file of episodes, whatever its name is.</summary>
    /// <exception cref="BenchmarkException">The file has faults.</exception>
    public static Benchmark Read(string file)
    {
        var faults = new FaultReport(file);
        var benchmark = Read(file, faults);
        faults.ThrowIfAny();
        return benchmark;
    }

    internal static Benchmark Read(BenchmarkFiles files, FaultReport faults) =>
        Read(Path.Combine(files.Folder!, "episodes.jsonl"), faults);

    private static Benchmark Read(string file, FaultReport faults)
    {
        var (folder, queries, count) = (new PictureFolder(Path.GetDirectoryName(Path.GetFullPath(file))!), new List<BenchmarkItem>(), 0);
        JsonFile.ReadLines(file, faults, entry =>
        {
            var id = $"{count++}";
            var (task, shots, query, answer) = (entry.Words("task"), entry.List("shots"), entry.Member("query"), entry.Words("answer"));
            if (task is null || shots is null || query is null || answer is null) return;
            if (Asked(query.Value, folder, id, answer) is not { } asked) return;
            var own = shots.Select((shot, index) => Shot(shot, folder, $"{id}.{index}", asked.Prompt)).OfType<BenchmarkItem>().ToList();
            if (own.Count < shots.Count) return;
            queries.Add(asked.Item with
            {
                Group = task, Shots = own,
                ShotCounts = task.StartsWith("naming", StringComparison.Ordinal)
                    ? [.. NamingShots.Where(shots => shots <= own.Count)] : [own.Count],
            });
        });
        if (queries.Count == 0 && !faults.Any) faults.Add(new FilePlace(file), "The file has no episode.", Remedy);
        return new Benchmark("episodes", BenchmarkKind.Complete, BenchmarkMetric.ExactMatch, queries, []) { MaxTokens = 14 };
    }

    /// <summary>Reads a query: picture, prompt, answer.</summary>
    internal static (BenchmarkItem Item, string Prompt)? Asked(JsonEntry query, PictureFolder folder, string id, string answer)
    {
        var (name, prompt) = (query.Words("picture"), query.Text("prompt"));
        if (name is null || prompt is null || Picture(query, folder, name) is not { } picture) return null;
        return (new BenchmarkItem(id, [picture, new TextPart(prompt)], [answer]) { Answer = answer }, prompt);
    }

    /// <summary>
    /// Reads a shot, whose text is one: what comes before the answer and the answer. The text is divided behind the query's prompt, or
    /// behind the last word of that, if the word ends in a colon; a text without either is an answer to a picture alone.
    /// </summary>
    internal static BenchmarkItem? Shot(JsonEntry shot, PictureFolder folder, string id, string prompt)
    {
        var (name, text) = (shot.Words("picture"), shot.Text("text"));
        if (name is null || text is null || Picture(shot, folder, name) is not { } picture) return null;
        var asked = 0;
        if (text.StartsWith(prompt, StringComparison.Ordinal))
        {
            asked = prompt.Length;
        }
        else if (prompt.EndsWith(':'))
        {
            var word = prompt[(prompt.LastIndexOf(' ') + 1)..];
            var place = text.LastIndexOf(word, StringComparison.Ordinal);
            asked = place < 0 ? 0 : place + word.Length;
        }

        var answer = text[asked..];
        return new BenchmarkItem(id, asked == 0 ? [picture] : [picture, new TextPart(text[..asked])], [answer]) { Answer = answer };
    }

    private static PicturePart? Picture(JsonEntry entry, PictureFolder folder, string name) =>
        folder.Find(entry, name, $"pictures/{name}") is { } path ? new PicturePart(path) : null;
}
