using System.Text.RegularExpressions;
using Flamingo.Evaluation.Datasets.Reading;

namespace Flamingo.Evaluation.Datasets;

/// <summary>
/// Reads the picture-to-text tasks of VL-ICL Bench: a folder per task with <c>query.json</c> and <c>support.json</c>, and pictures by their
/// paths from the folder that holds the tasks. Each query has shots of its own, which are drawn once, with the same seed always, by the
/// rule of its task; the first N of them are the shots of an N-shot prompt.
/// <list type="bullet">
/// <item><c>open_mi</c>: pictures of the query's class and of one other in turn, from the query's own support;</item>
/// <item>
/// <c>operator_induction</c> and <c>operator_induction_interleaved</c>: examples, each with the result for the query's operator;
/// </item>
/// <item><c>matching_mi</c>: a pair that is the same and one that is not in turn;</item>
/// <item><c>clevr</c> and <c>textocr</c>: examples.</item>
/// </list>
/// What the benchmark calls N shots of open_mi and of matching_mi is 2 N examples, and so 2 N here. The words are its own for OpenFlamingo,
/// without a description of the task: the question, a new line and <c>Answer:</c>.
/// </summary>
public static partial class VlIcl
{
    private const string Matching = "matching_mi";
    private const string Open = "open_mi";
    private const string Operators = "+-x";
    private const int Seed = 0;

    private static readonly string[] Tasks =
        [Open, "clevr", "operator_induction", "operator_induction_interleaved", "textocr", Matching];

    private static readonly int[] Counts = [0, 1, 2, 4, 8];

    /// <summary>
    /// Whether an answer is right by the benchmark's own evaluation. An answer ends with its first line, or, if it has one line, before its
    /// first period. Operators compare the first number of the answer, matching asks whether "yes" is in it, and the others compare all of
    /// it; none regards case.
    /// </summary>
    public static bool IsRight(string task, string answer, string reference)
    {
        var text = answer.Trim();
        var end = text.IndexOf('\n', StringComparison.Ordinal);
        if (end <= 0) end = text.IndexOf('.', StringComparison.Ordinal);
        if (end > 0) text = text[..end];
        if (task == Matching)
            return text.Contains("yes", StringComparison.OrdinalIgnoreCase) == reference.Equals("yes", StringComparison.OrdinalIgnoreCase);
        if (IsOperator(task)) text = Digits().Match(text).Value;
        return text.Equals(reference, StringComparison.OrdinalIgnoreCase);
    }

    internal static Benchmark Read(BenchmarkFiles files, FaultReport faults)
    {
        var root = Path.GetFullPath(files.Folder!);
        var (folder, random, queries) = (new PictureFolder(root), new Random(Seed), new List<BenchmarkItem>());
        var tasks = Tasks.Where(task => Directory.Exists(Path.Combine(root, task))).ToList();
        foreach (var task in tasks) queries.AddRange(new Reader(task, folder, faults, random).Read());
        if (tasks.Count == 0)
            faults.Add(new FilePlace(root), "The folder has none of the tasks' folders.",
                $"Name the folder that VL-ICL's archives were unpacked in; it has {string.Join(", ", Tasks)}.");
        return new Benchmark("vl-icl", BenchmarkKind.Complete, BenchmarkMetric.VlIcl, queries, []) { MaxTokens = 15 };
    }

    private static bool IsOperator(string task) => task.StartsWith("operator_induction", StringComparison.Ordinal);

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Digits();

    /// <summary>Reads one task.</summary>
    private sealed class Reader(string task, PictureFolder folder, FaultReport faults, Random random)
    {
        // for operators the item of an operator is at its place in Operators, for matching the same pair is before the different one, and
        // for other tasks there is one item
        private readonly List<BenchmarkItem[]> _support = [];
        private readonly List<BenchmarkItem> _queries = [];
        private readonly HashSet<string> _ids = [];

        private string File(string name) => Path.Combine(folder.Path, task, name);

        public IReadOnlyList<BenchmarkItem> Read()
        {
            if (task != Open) Read("support.json", entry => AddSupport(entry, $"{task}/support.{_support.Count}"));
            Read("query.json", AddQuery);
            if (_queries.Count == 0 && !faults.Any)
                faults.Add(new FilePlace(File("query.json")), "The file has no query.", "Unpack the benchmark's archive again.");
            return _queries;
        }

        private void Read(string name, Action<JsonEntry> take) =>
            JsonFile.Read(File(name), faults, new Dictionary<string, Action<JsonEntry>> { [""] = take });

        private void AddSupport(JsonEntry entry, string id)
        {
            if (task == Matching)
            {
                if (entry.Member("same") is not { } same || entry.Member("diff") is not { } different) return;
                if (Item(same, $"{id}.same", Answer(same)) is { } one && Item(different, $"{id}.diff", Answer(different)) is { } other)
                    _support.Add([one, other]);
            }
            else if (IsOperator(task))
            {
                if (entry.List("answer") is not { } answers) return;
                if (answers.Count != Operators.Length)
                    entry.Fault($"answer has {answers.Count} results.", "It has one for each of the operators + - x.");
                var items = answers.Select(answer => Item(entry, id, answer.AsTextOrNumber("A result"))).OfType<BenchmarkItem>().ToArray();
                if (items.Length == Operators.Length) _support.Add(items);
            }
            else if (Item(entry, id, Answer(entry)) is { } item)
            {
                _support.Add([item]);
            }
        }

        private void AddQuery(JsonEntry entry)
        {
            var id = entry.Has("id") ? entry.TextOrNumber("id") : $"{_queries.Count}";
            if (id is null || Item(entry, $"{task}/{id}", Answer(entry)) is not { } query) return;
            if (!_ids.Add(id))
            {
                entry.Fault($"The query {id} is there twice.", "Take one of the two out.");
                return;
            }

            var shots = task == Open ? OpenShots(entry, query) : Shots(entry);
            if (shots is null) return;
            var step = task is Open or Matching ? 2 : 1;
            _queries.Add(query with
            {
                Group = task, Shots = shots,
                ShotCounts = [.. Counts.Select(count => Math.Min(count * step, shots.Count)).Distinct()],
            });
        }

        private IReadOnlyList<BenchmarkItem>? Shots(JsonEntry query)
        {
            var result = 0;
            if (IsOperator(task))
            {
                if (query.Words("operator") is not { } sign) return null;
                result = sign.Length == 1 ? Operators.IndexOf(sign[0], StringComparison.Ordinal) : -1;
                if (result < 0)
                {
                    query.Fault($"operator is {sign}.", "It is one of + - x.");
                    return null;
                }
            }

            var drawn = Enumerable.Range(0, _support.Count).ToArray();
            random.Shuffle(drawn);
            var support = drawn.Take(Counts[^1]).Select(index => _support[index]);
            return task == Matching ? [.. support.SelectMany(pair => pair)] : [.. support.Select(items => items[result])];
        }

        private IReadOnlyList<BenchmarkItem>? OpenShots(JsonEntry query, BenchmarkItem item)
        {
            var (name, classes) = (item.References[0], query.List("classes")?.Select(one => one.AsTextOrNumber("A class")).ToList());
            if (classes is null || query.Member("support") is not { } support) return null;
            string[] others = [.. classes.OfType<string>().Where(one => one != name)];
            if (others.Length == 0 || others.Length == classes.Count)
            {
                query.Fault($"classes do not have {name} and another.", "They are the names that the query's support has.");
                return null;
            }

            var other = others[random.Next(others.Length)];
            string[] pair = random.Next(2) == 0 ? [name, other] : [other, name];
            var pictures = pair.Select(one => support.Member(one)?.List("images")).ToArray();
            if (pictures.Any(one => one is null)) return null;
            var shots = pictures[0]!.Zip(pictures[1]!).SelectMany(both => new[] { (both.First, 0), (both.Second, 1) })
                .Select((shot, index) => Picture(shot.Item1) is { } picture
                    ? new BenchmarkItem($"{item.Id}.{index}", [picture, Question("This is a")], [pair[shot.Item2]])
                    {
                        Answer = $" {pair[shot.Item2]}",
                    }
                    : null).ToList();
            return shots.Contains(null) ? null : [.. shots.OfType<BenchmarkItem>()];
        }

        private static string? Answer(JsonEntry entry) => entry.TextOrNumber("answer");

        private static TextPart Question(string question) => new($"{question}\nAnswer:");

        /// <summary>A query or an example: one picture or several, the question and the answer.</summary>
        private BenchmarkItem? Item(JsonEntry entry, string id, string? answer)
        {
            var (image, question) = (entry.Member("image"), entry.Text("question"));
            if (image is null || question is null || answer is null) return null;
            var pictures = (image.Value.Value.ValueKind == System.Text.Json.JsonValueKind.Array ? image.Value.Elements() : [image.Value])
                .Select(Picture).ToList();
            if (pictures.Count == 0) entry.Fault("image is empty.", "It has the paths of the pictures.");
            return pictures.Count == 0 || pictures.Contains(null) ? null
                : new BenchmarkItem(id, [.. pictures.OfType<ItemPart>(), Question(question)], [answer]) { Answer = $" {answer}" };
        }

        private PicturePart? Picture(JsonEntry entry) =>
            entry.AsTextOrNumber("A picture") is { } name && folder.Find(entry, name, $"{task}/{name}") is { } path
                ? new PicturePart(path) : null;
    }
}
