using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Runs;

/// <summary>
/// Changes the shots of a prompt so that a reader sees what they act through: if shuffled labels or foreign pictures change nothing, the
/// model takes only the form of an answer from its shots.
/// </summary>
internal static class Ablation
{
    /// <param name="others">Examples to take another label or picture from, where the shots alone offer none.</param>
    public static IReadOnlyList<BenchmarkItem> Apply(
        string ablation, IReadOnlyList<BenchmarkItem> shots, IEnumerable<BenchmarkItem> others, ulong seed, string query) =>
            ablation switch
    {
        RunOptions.ShuffledLabels => Exchanged(shots, others, seed, query, shot => shot.Answer,
            (shot, other) => shot with { Answer = other.Answer, References = other.References }),
        RunOptions.OtherPictures => Exchanged(shots, others, seed, query, shot => string.Join('\n', Pictures(shot)), WithPictures),
        _ => shots, // pictures are made blank when they are read
    };

    // Each shot takes what another shot has: the next one whose value differs from its own, else an example outside whose value does.
    private static BenchmarkItem[] Exchanged(
        IReadOnlyList<BenchmarkItem> shots, IEnumerable<BenchmarkItem> others, ulong seed, string query,
        Func<BenchmarkItem, string> value, Func<BenchmarkItem, BenchmarkItem, BenchmarkItem> exchange)
    {
        return [.. shots.Select((shot, place) => Others(place).FirstOrDefault(other => value(other) != value(shot)) is { } other
            ? exchange(shot, other) : shot)];

        IEnumerable<BenchmarkItem> Others(int place) => shots.Skip(place + 1).Concat(shots.Take(place))
            .Concat(SeededOrder.Shuffled(others, seed, $"others of {query}", other => other.Id));
    }

    private static IEnumerable<string> Pictures(BenchmarkItem item) => item.Parts.OfType<PicturePart>().Select(picture => picture.File);

    private static BenchmarkItem WithPictures(BenchmarkItem shot, BenchmarkItem other)
    {
        var theirs = Pictures(other).ToArray();
        var place = 0;
        return shot with
        {
            Parts = [.. shot.Parts.Select(part => part is PicturePart && theirs.Length > 0
                ? new PicturePart(theirs[place++ % theirs.Length]) : part)],
        };
    }
}
