using System.Text;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Passes text on until a stop string appears, and holds back the end of the text while it may be the beginning of a stop string.
/// </summary>
public sealed class StopStringFilter(IReadOnlyList<string> stops)
{
    private readonly StringBuilder _held = new();

    /// <summary>Whether a stop string has appeared. After that all text is dropped.</summary>
    public bool Stopped { get; private set; }

    /// <param name="mayStop">
    /// Whether a stop string that this text completes counts. One that was completed by an earlier text that might not stop never counts.
    /// </param>
    /// <returns>Text that cannot be part of a stop string.</returns>
    public string Push(string text, bool mayStop = true)
    {
        if (Stopped || stops.Count == 0) return Stopped ? "" : text;
        var known = _held.Length;
        var held = _held.Append(text).ToString();
        var first = stops.Select(stop => held.IndexOf(stop, Math.Max(0, known - stop.Length + 1), StringComparison.Ordinal))
            .Where(at => at >= 0).DefaultIfEmpty(-1).Min();
        if (mayStop && first >= 0)
        {
            Stopped = true;
            _held.Clear();
            return held[..first];
        }

        var tail = stops.Max(stop => LongestTail(held, stop));
        _held.Remove(0, held.Length - tail);
        return held[..^tail];
    }

    /// <summary>Returns the text that was held back. Call it when no more text follows.</summary>
    public string Flush()
    {
        var rest = Stopped ? "" : _held.ToString();
        _held.Clear();
        return rest;
    }

    // Length of the longest suffix of the text that is a prefix of the stop string.
    private static int LongestTail(string text, string stop)
    {
        for (var length = Math.Min(text.Length, stop.Length - 1); length > 0; length--)
            if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length))) return length;
        return 0;
    }
}
