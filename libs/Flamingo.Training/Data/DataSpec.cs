using System.Globalization;
using System.Text.RegularExpressions;
using Flamingo.Checkpoints;

namespace Flamingo.Training.Data;

/// <summary>A stream of data as the command line names it: <c>PATH[,loss=0.2]</c>.</summary>
/// <param name="Path">
/// A .jsonl file, or .tar files; <c>{0000..0999}</c> stands for all numbers of a range, and <c>{a,b}</c> for words.
/// </param>
/// <param name="LossMultiplier">Factor of the stream's loss.</param>
public sealed partial record DataSpec(string Path, double LossMultiplier)
{
    private const int MostFiles = 1_000_000;

    private const int MostNamed = 3;

    /// <summary>The files, in the order of the ranges.</summary>
    public IReadOnlyList<string> Files { get; } = Expand(Path);

    /// <summary>Whether the files are JSONL; otherwise they are tars.</summary>
    public bool IsLines => Files[0].EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase);

    /// <exception cref="CheckpointException">The text is no specification, or a file is missing; the message names the remedy.</exception>
    public static DataSpec Parse(string text)
    {
        var (path, loss) = (text, 1.0);
        // A comma within braces belongs to the path.
        while (OptionAtEnd().Match(path) is { Success: true } option)
        {
            var (name, value) = (option.Groups["name"].Value, option.Groups["value"].Value);
            if (name != "loss") throw Fault(text, $"'{name}' is unknown", "The only option is loss=NUMBER, after a comma.");
            if (!double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out loss) || !(loss > 0 && loss <= 1e6))
                throw Fault(text, $"loss is '{value}'", "Write a number above 0, such as loss=0.2.");
            path = path[..option.Index];
        }

        if (path.Trim().Length == 0) throw Fault(text, "the path is empty", "Write PATH[,loss=0.2].");
        if (path.Contains("://", StringComparison.Ordinal) || path.StartsWith("pipe:", StringComparison.Ordinal))
            throw Fault(text, "the path is no local file", "Download the shards first and name their local paths.");
        var spec = new DataSpec(path, loss);
        var foreign = spec.Files.FirstOrDefault(file => !IsKnown(file));
        if (foreign is not null)
            throw Fault(text, $"{foreign} is neither .tar nor .jsonl", "Name .tar files (unpack compressed ones first) or a .jsonl file.");
        if (spec.Files.Any(file => file.EndsWith(".tar", StringComparison.OrdinalIgnoreCase) == spec.IsLines))
            throw Fault(text, "tars and JSONL files are mixed", "Give each kind a --data of its own.");
        var missing = spec.Files.Where(file => !File.Exists(file)).ToList();
        if (missing.Count > 0)
            throw Fault(text, $"{missing.Count} of {spec.Files.Count} files are missing: {string.Join(", ", missing.Take(MostNamed))}"
                + (missing.Count > MostNamed ? ", …" : ""), "Check the path and the ends of the range.");
        return spec;
    }

    private static bool IsKnown(string file) => file.EndsWith(".tar", StringComparison.OrdinalIgnoreCase)
        || file.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase);

    private static CheckpointException Fault(string text, string problem, string remedy) => new($"--data {text}: {problem}. {remedy}");

    private static List<string> Expand(string path)
    {
        var open = path.IndexOf('{', StringComparison.Ordinal);
        if (open < 0) return [path];
        var close = path.IndexOf('}', open);
        if (close < 0) throw Fault(path, "a brace is not closed", "Write a range as {0000..0999}.");
        var (before, inner, after) = (path[..open], path[(open + 1)..close], Expand(path[(close + 1)..]));
        var words = Words(path, inner);
        if ((long)words.Count * after.Count > MostFiles)
            throw Fault(path, $"the ranges name {(long)words.Count * after.Count} files", $"Name at most {MostFiles}.");
        return [.. words.SelectMany(word => after.Select(rest => before + word + rest))];
    }

    private static List<string> Words(string path, string inner)
    {
        if (NumberRange().Match(inner) is not { Success: true } range)
            return inner.Contains(',', StringComparison.Ordinal)
                ? [.. inner.Split(',')]
                : throw Fault(path, $"{{{inner}}} is no range", "Write a range as {0000..0999}, or a list as {train,more}.");
        var (first, last) = (range.Groups["first"].Value, range.Groups["last"].Value);
        var (from, to) = (int.Parse(first, CultureInfo.InvariantCulture), int.Parse(last, CultureInfo.InvariantCulture));
        if (from > to) throw Fault(path, $"{{{inner}}} runs backwards", "Write the smaller number first.");
        if (to - from >= MostFiles) throw Fault(path, $"{{{inner}}} names {to - from + 1L} files", $"Name at most {MostFiles}.");
        var width = first.StartsWith('0') ? first.Length : 0;
        return [.. Enumerable.Range(from, to - from + 1).Select(number => number.ToString($"D{width}", CultureInfo.InvariantCulture))];
    }

    [GeneratedRegex(@",(?<name>[A-Za-z_-]+)=(?<value>[^,{}]*)$")]
    private static partial Regex OptionAtEnd();

    [GeneratedRegex(@"^(?<first>\d{1,9})\.\.(?<last>\d{1,9})$")]
    private static partial Regex NumberRange();
}
