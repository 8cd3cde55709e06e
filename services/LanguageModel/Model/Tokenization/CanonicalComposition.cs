using System.Globalization;
using System.Text;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// NFC (Unicode Standard Annex 15) in O(n log n). ICU sorts the combining marks of a letter by insertion, which takes quadratic
/// time: minutes for half a megabyte of marks. Therefore runs of marks longer than any script uses are sorted first, which does
/// not change the result.
/// </summary>
public static class CanonicalComposition
{
    private const int LongestRun = 64; // most UTF-16 units that ICU may sort itself; the annex's stream-safe format allows 30 marks
    private const string LastOfAll = "\u0345"; // the only mark of the highest class, 240

    // .NET refuses U+FFFE, which combines with no other character, so the text is composed between its occurrences.
    public static string Compose(string text) =>
        text.Contains('\uFFFE', StringComparison.Ordinal)
            ? string.Join('\uFFFE', text.Split('\uFFFE').Select(ComposePart))
            : ComposePart(text);

    private static string ComposePart(string text)
    {
        var runs = LongRuns(text);
        if (runs.Count == 0) return text.Normalize(NormalizationForm.FormC);

        // decomposes every mark, so that all marks have a combining class
        var parts = runs.SelectMany(run => text.Substring(run.Start, run.Length).EnumerateRunes())
            .Distinct()
            .ToDictionary(mark => mark, mark => Decompose(mark.ToString()).EnumerateRunes().ToArray());
        var classes = Classes([.. parts.Values.SelectMany(part => part).Distinct()]);
        var (ordered, done) = (new StringBuilder(text.Length), 0);
        foreach (var (start, length) in runs)
        {
            ordered.Append(text, done, start - done);
            AppendOrdered(ordered, text.AsSpan(start, length), parts, classes);
            done = start + length;
        }

        return ordered.Append(text, done, text.Length - done).ToString().Normalize(NormalizationForm.FormC);
    }

    private static List<(int Start, int Length)> LongRuns(string text)
    {
        var (runs, start, at) = (new List<(int Start, int Length)>(), 0, 0);
        foreach (var rune in text.EnumerateRunes())
        {
            if (!MayCombine(rune)) End(at + rune.Utf16SequenceLength);
            at += rune.Utf16SequenceLength;
        }

        End(at);
        return runs;

        void End(int next)
        {
            if (at - start > LongestRun) runs.Add((start, at - start));
            start = next;
        }
    }

    // A character that this runtime does not know may be a mark that ICU knows.
    private static bool MayCombine(Rune rune) =>
        rune.Value >= 0x300
            && Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark
                or UnicodeCategory.EnclosingMark or UnicodeCategory.OtherNotAssigned;

    // Sorts marks by class. Marks of class 0 are not moved, and marks of one class keep their order.
    private static void AppendOrdered(
        StringBuilder ordered, ReadOnlySpan<char> run, Dictionary<Rune, Rune[]> parts, Dictionary<Rune, int> classes)
    {
        var waiting = new List<Rune>();
        foreach (var mark in run.EnumerateRunes())
        {
            foreach (var part in parts[mark])
            {
                if (classes[part] == 0) Flush();
                waiting.Add(part);
                if (classes[part] == 0) Flush();
            }
        }

        Flush();

        void Flush()
        {
            foreach (var mark in waiting.OrderBy(mark => classes[mark])) ordered.Append(mark.ToString());
            waiting.Clear();
        }
    }

    /// <summary>
    /// Combining classes, as ranks among the classes of these marks; 0 for marks that are not moved. .NET has no API for the
    /// classes, but decomposition reveals them, because it puts the mark of the lower class first.
    /// </summary>
    private static Dictionary<Rune, int> Classes(IReadOnlyList<Rune> marks)
    {
        var moving = marks.Where(mark => mark.ToString() == LastOfAll || Changes(LastOfAll, mark.ToString())).ToList();
        var representatives = new List<Rune>();
        foreach (var mark in moving)
            if (!representatives.Any(other => SameClass(mark, other))) representatives.Add(mark); // at most 54 classes
        var ranks =
            moving.ToDictionary(mark => mark, mark => 1 + representatives.Count(other => Changes(mark.ToString(), other.ToString())));
        return marks.ToDictionary(mark => mark, mark => ranks.GetValueOrDefault(mark));
    }

    private static bool SameClass(Rune one, Rune other) =>
        !Changes(one.ToString(), other.ToString()) && !Changes(other.ToString(), one.ToString());

    private static bool Changes(string first, string second) => Decompose(first + second) != first + second;

    private static string Decompose(string text) => text.Normalize(NormalizationForm.FormD);
}
