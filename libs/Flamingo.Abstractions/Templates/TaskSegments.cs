using System.Text;
using System.Text.RegularExpressions;

namespace Flamingo.Abstractions.Templates;

/// <summary>Builds the segments of a task's prompt and records the field of the request that each picture comes from.</summary>
/// <param name="whole">The field of the request that the prompt as a whole comes from.</param>
public sealed partial class TaskSegments(string whole)
{
    public const string Prompt = "prompt", Turns = "turns";

    private readonly List<FlamingoSegment> _segments = [];
    private readonly Dictionary<int, string> _paths = [];
    private readonly StringBuilder _text = new(); // the text that more text may follow

    /// <summary>The segments. Adjacent texts are joined unless <see cref="StartNewText"/> was called between them.</summary>
    public IReadOnlyList<FlamingoSegment> Segments
    {
        get
        {
            StartNewText();
            return _segments;
        }
    }

    public void Add(string text) => _text.Append(text);

    /// <summary>Adds a text as a segment of its own, so that a refusal can name where it comes from.</summary>
    /// <param name="path">Path of the text in the request.</param>
    public void Add(string text, string path)
    {
        StartNewText();
        if (text.Length == 0) return;
        _paths[_segments.Count] = path;
        _segments.Add(new FlamingoText(text));
    }

    /// <summary>
    /// Makes the next text begin a new segment. The model reads the same text, but the choice of a replica depends on the first
    /// segments of a prompt.
    /// </summary>
    public void StartNewText()
    {
        if (_text.Length > 0) _segments.Add(new FlamingoText(_text.ToString()));
        _text.Clear();
    }

    /// <param name="path">Path of the picture in the request.</param>
    public void Add(FlamingoVisual visual, string path)
    {
        StartNewText();
        _paths[_segments.Count] = path;
        _segments.Add(visual);
    }

    /// <summary>Returns the refusal with the field names of the task's request instead of those of the prompt.</summary>
    public FlamingoException Translate(FlamingoException refusal) =>
        refusal.Faults.Count == 0
            ? refusal
            : FlamingoException.Invalid(
                [.. refusal.Faults.Select(fault => fault with { Field = Path(fault.Field) })], refusal.FurtherFaults);

    private string Path(string field)
    {
        if (Segment().Match(field) is { Success: true } match)
            return _paths.TryGetValue(int.Parse(match.Groups[1].ValueSpan, provider: null), out var path)
                ? path + field[match.Length..]
                : whole;
        if (field.StartsWith("candidates", StringComparison.Ordinal)) return "labels" + field["candidates".Length..];
        if (field == "segments") return whole;
        return whole == Prompt && (field.StartsWith("support_set", StringComparison.Ordinal) || field == "pin_prefix")
            ? $"{Prompt}.{field}"
            : field;
    }

    [GeneratedRegex(@"^segments\[(\d+)\]")]
    private static partial Regex Segment();
}
