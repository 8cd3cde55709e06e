using System.Text.RegularExpressions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tasks;

/// <summary>A prompt in the making, which remembers where its pictures stand in the request.</summary>
internal sealed partial class TaskSegments
{
    private readonly List<FlamingoSegment> _segments = [];
    private readonly Dictionary<int, string> _paths = [];

    /// <summary>No two texts beside each other.</summary>
    public IReadOnlyList<FlamingoSegment> Segments => _segments;

    public void Add(string text)
    {
        if (text.Length == 0) return;
        if (_segments.LastOrDefault() is FlamingoText last) _segments[^1] = new FlamingoText(last.Text + text);
        else _segments.Add(new FlamingoText(text));
    }

    /// <param name="path">Of the picture in the request.</param>
    public void Add(FlamingoVisual visual, string path)
    {
        _paths[_segments.Count] = path;
        _segments.Add(visual);
    }

    /// <summary>The same refusal in the request's own words.</summary>
    public StageException Translate(StageException refusal) => refusal.Faults.Count == 0 ? refusal : StageException.Invalid([.. refusal.Faults.Select(fault => fault with { Field = Path(fault.Field) })]);

    private string Path(string field)
    {
        if (Segment().Match(field) is { Success: true } match) return _paths.TryGetValue(int.Parse(match.Groups[1].ValueSpan, provider: null), out var path) ? path + field[match.Length..] : "prompt";
        if (field.StartsWith("candidates", StringComparison.Ordinal)) return "labels" + field["candidates".Length..];
        return field == "segments" ? "prompt" : field.StartsWith("support_set", StringComparison.Ordinal) || field == "pin_prefix" ? $"prompt.{field}" : field;
    }

    [GeneratedRegex(@"^segments\[(\d+)\]")]
    private static partial Regex Segment();
}
