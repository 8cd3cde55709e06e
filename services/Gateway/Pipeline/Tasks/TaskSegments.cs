using System.Text.RegularExpressions;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Tasks;

/// <summary>A prompt in the making, which remembers where its pictures stand in the request.</summary>
/// <param name="whole">The field of the request that all of it comes from.</param>
internal sealed partial class TaskSegments(string whole)
{
    public const string Prompt = "prompt", Turns = "turns";

    private readonly List<FlamingoSegment> _segments = [];
    private readonly Dictionary<int, string> _paths = [];
    private bool _apart;

    /// <summary>No two texts beside each other but those that were kept apart.</summary>
    public IReadOnlyList<FlamingoSegment> Segments => _segments;

    public void Add(string text)
    {
        if (text.Length == 0) return;
        if (!_apart && _segments.LastOrDefault() is FlamingoText last) _segments[^1] = new FlamingoText(last.Text + text);
        else _segments.Add(new FlamingoText(text));
        _apart = false;
    }

    /// <summary>
    /// The next text begins a segment. The model reads the same; who finds a replica by a prompt's first segments does not.
    /// </summary>
    public void KeepApart() => _apart = true;

    /// <param name="path">Of the picture in the request.</param>
    public void Add(FlamingoVisual visual, string path)
    {
        _paths[_segments.Count] = path;
        _segments.Add(visual);
    }

    /// <summary>The same refusal in the request's own words.</summary>
    public FlamingoException Translate(FlamingoException refusal) =>
        refusal.Faults.Count == 0
            ? refusal
            : FlamingoException.Invalid([.. refusal.Faults.Select(fault => fault with { Field = Path(fault.Field) })]);

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
