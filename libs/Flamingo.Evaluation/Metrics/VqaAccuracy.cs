using System.Text.RegularExpressions;

namespace Flamingo.Evaluation.Metrics;

/// <summary>
/// Accuracy of the official VQA evaluation (Antol et al. 2015, https://visualqa.org/evaluation.html): an answer that three of the other
/// nine people gave counts as right, averaged over leaving out each of the ten. Held to the official program in the form that OpenFlamingo
/// uses, oddities included: it normalizes every answer, also where all ten people agree.
/// </summary>
public static partial class VqaAccuracy
{
    // The official program removes at most this many periods, since it gives a flag where the number of replacements is expected.
    private const int MostPeriods = 32;

    private const string Punctuation = ";/[]\"{}()=+\\_-><@`,?!";

    private static readonly Dictionary<string, string> Digits = new(StringComparer.Ordinal)
    {
        ["none"] = "0", ["zero"] = "0", ["one"] = "1", ["two"] = "2", ["three"] = "3", ["four"] = "4", ["five"] = "5", ["six"] = "6",
        ["seven"] = "7", ["eight"] = "8", ["nine"] = "9", ["ten"] = "10",
    };

    /// <summary>The accuracy of one answer.</summary>
    /// <param name="prediction">As it was generated, after <see cref="GeneratedText.Answer"/>.</param>
    /// <param name="answers">The answers of people, usually ten; at least one.</param>
    /// <returns>0 to 1.</returns>
    public static double Of(string prediction, IReadOnlyList<string> answers)
    {
        if (answers.Count == 0) throw new ArgumentException("A question without answers has no VQA accuracy.", nameof(answers));
        prediction = Normalized(prediction);
        var people = answers.Select(Normalized).ToArray();
        var matching = people.Count(answer => answer == prediction);
        return people.Average(answer => Math.Min(1, (matching - (answer == prediction ? 1 : 0)) / 3.0));
    }

    /// <summary>An answer as the official program compares it: without punctuation and articles, with digits for number words.</summary>
    public static string Normalized(string answer) => WithoutArticles(WithoutPunctuation(Trimmed(answer)));

    private static string Trimmed(string answer) => answer.Replace('\n', ' ').Replace('\t', ' ').Trim();

    private static string WithoutPunctuation(string text)
    {
        var result = text;
        var thousands = DigitCommaDigit().IsMatch(text);
        foreach (var mark in Punctuation)
        {
            // A mark inside a word parts it in two ("blue/green"), one beside a space goes, and "1,000" makes all of them go.
            var beside = text.Contains($"{mark} ", StringComparison.Ordinal) || text.Contains($" {mark}", StringComparison.Ordinal);
            result = result.Replace(mark.ToString(), beside || thousands ? "" : " ", StringComparison.Ordinal);
        }

        return PeriodBeforeNoDigit().Replace(result, "", MostPeriods);
    }

    private static string WithoutArticles(string text) => string.Join(' ', text.ToLowerInvariant()
        .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
        .Select(word => Digits.GetValueOrDefault(word, word))
        .Where(word => word is not ("a" or "an" or "the"))
        .Select(word => VqaContractions.Words.GetValueOrDefault(word, word)));

    [GeneratedRegex("[0-9],[0-9]", RegexOptions.CultureInvariant)]
    private static partial Regex DigitCommaDigit();

    [GeneratedRegex(@"\.(?!\d)", RegexOptions.CultureInvariant)]
    private static partial Regex PeriodBeforeNoDigit();
}
