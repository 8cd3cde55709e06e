using System.Text.RegularExpressions;

namespace Flamingo.Evaluation.Metrics;

/// <summary>
/// Cuts a generated text to the answer in it, as OpenFlamingo's evaluation does: a model that has given its answer often goes on with the
/// next example.
/// </summary>
public static partial class GeneratedText
{
    /// <summary>The text before the first "Output".</summary>
    public static string Caption(string generated) => generated.Split("Output", 2)[0];

    /// <summary>The text before the first "Question", "Answer" or "Short", and of that the part before the first comma with a
    /// space.</summary>
    public static string Answer(string generated) => NextExample().Split(generated, 2)[0].Split(", ", 2)[0];

    [GeneratedRegex("Question|Answer|Short", RegexOptions.CultureInvariant)]
    private static partial Regex NextExample();
}
