using System.Text;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>Passes text on until a stop string would appear; holds back a tail that may still become one.</summary>
public sealed class StopStringFilter(IReadOnlyList<string> stops)
{
    private readonly StringBuilder _held = new();

    /// <summary>Whether a stop string has appeared; nothing passes after that.</summary>
    public bool Stopped { get; private set; }

    /// <returns>Text that is certain to stand before any stop string.</returns>
    public string Push(string text)
    {
        if (Stopped || stops.Count == 0) return Stopped ? "" : text;
        var held = _held.Append(text).ToString();
        var first = stops.Select(stop => held.IndexOf(stop, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(-1).Min();
        if (first >= 0)
        {
            Stopped = true;
            _held.Clear();
            return held[..first];
        }

        var tail = stops.Max(stop => LongestTail(held, stop));
        _held.Remove(0, held.Length - tail);
        return held[..^tail];
    }

    /// <summary>What was held back, when no more text follows.</summary>
    public string Flush()
    {
        var rest = Stopped ? "" : _held.ToString();
        _held.Clear();
        return rest;
    }

    // the longest end of the text that is a beginning of the stop string
    private static int LongestTail(string text, string stop)
    {
        for (var length = Math.Min(text.Length, stop.Length - 1); length > 0; length--)
            if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length))) return length;
        return 0;
    }
}
