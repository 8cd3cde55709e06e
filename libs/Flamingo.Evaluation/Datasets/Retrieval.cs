using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>
/// Reads <c>retrieval.json</c> as in tests/reference/shapes/evaluation: queries about new words, and a support set that shots are drawn
/// from. Ids are positions in the lists, from 0.
/// </summary>
internal static class Retrieval
{
    public static Benchmark Read(BenchmarkFiles files, FaultReport faults)
    {
        var (file, folder) = (Path.Combine(files.Folder!, "retrieval.json"), new PictureFolder(files.Folder!));
        var (queries, examples, prompt) = (new List<BenchmarkItem>(), new List<BenchmarkItem>(), "");
        Read("queries", entry =>
        {
            if (entry.Words("answer") is not { } answer) return;
            if (Episodes.Asked(entry, folder, $"{queries.Count}", answer) is not { } asked) return;
            queries.Add(asked.Item);
            prompt = asked.Prompt;
        });
        if (!faults.Any)
            Read("support", entry =>
            {
                if (Episodes.Shot(entry, folder, $"{examples.Count}", prompt) is { } shot) examples.Add(shot);
            });
        if (!faults.Any && (queries.Count == 0 || examples.Count == 0))
            faults.Add(new FilePlace(file), $"The file has {queries.Count} queries and {examples.Count} in its support.",
                "It needs queries (picture, prompt, answer) and support (picture, text).");
        return new Benchmark("retrieval", BenchmarkKind.Complete, BenchmarkMetric.ExactMatch, queries, examples) { MaxTokens = 14 };

        void Read(string list, Action<JsonEntry> take) =>
            JsonFile.Read(file, faults, new Dictionary<string, Action<JsonEntry>> { [list] = take });
    }
}
