using System.Text.RegularExpressions;

namespace Flamingo.Abstractions;

/// <summary>
/// Validation rules for prompt templates, applied when a checkpoint is loaded. All faults are reported, not only the first.
/// </summary>
public static partial class PromptTemplateRules
{
    /// <param name="pictureMarkers">Texts that stand for pictures; a template must not contain them.</param>
    /// <returns>One sentence per fault.</returns>
    public static IReadOnlyList<string> Faults(PromptTemplates templates, IReadOnlyList<string> pictureMarkers)
    {
        var faults = new List<string>();
        Check("caption", templates.Caption, hasQuestion: false);
        Check("answer", templates.Answer, hasQuestion: true);
        Check("classify", templates.Classify, hasQuestion: false);
        Check("chat", templates.Chat, hasQuestion: true);
        return faults;

        void Check(string name, PromptTemplate? template, bool hasQuestion)
        {
            if (template is null) return;
            var (text, before) = (template.Text, faults.Count);
            var known = new[] { PromptTemplate.Picture, PromptTemplate.Question, PromptTemplate.Answer };
            foreach (var placeholder in Placeholders().Matches(text).Select(match => match.Value).Except(known))
                faults.Add($"prompts.{name} holds {placeholder}, which is none of {string.Join(", ", known)}.");
            foreach (var marker in pictureMarkers.Where(marker => text.Contains(marker, StringComparison.Ordinal)))
                faults.Add($"prompts.{name} holds the picture marker '{marker}'; write {PromptTemplate.Picture} for the picture.");
            Once(PromptTemplate.Picture, 1);
            Once(PromptTemplate.Answer, 1);
            Once(PromptTemplate.Question, hasQuestion ? 1 : 0);
            if (faults.Count > before) return;

            var answer = text.IndexOf(PromptTemplate.Answer, StringComparison.Ordinal);
            if (text.LastIndexOf(PromptTemplate.Picture, StringComparison.Ordinal) > answer
                || text.LastIndexOf(PromptTemplate.Question, StringComparison.Ordinal) > answer)
                faults.Add($"prompts.{name}: {PromptTemplate.Answer} must come after the other placeholders.");
            if (answer + PromptTemplate.Answer.Length == text.Length)
                faults.Add($"prompts.{name}: no text ends an example; add it after {PromptTemplate.Answer}.");
            if (template.CutAt.Any(cut => cut.Length == 0)) faults.Add($"prompts.{name}.cut_at holds an empty text.");
            foreach (var example in template.ZeroShot)
            {
                if (example.Answer.Length == 0 || (example.Question.Length > 0) != hasQuestion)
                    faults.Add(
                        $"prompts.{name}.zero_shot: an example must have "
                        + $"{(hasQuestion ? "a question and an answer" : "an answer and no question")}.");
                if (pictureMarkers.Any(marker => (example.Question + example.Answer).Contains(marker, StringComparison.Ordinal)))
                    faults.Add($"prompts.{name}.zero_shot holds a picture marker.");
            }

            void Once(string placeholder, int times)
            {
                var found = text.Split(placeholder).Length - 1;
                if (found != times) faults.Add($"prompts.{name} holds {placeholder} {found} times, not {times}.");
            }
        }
    }

    [GeneratedRegex(@"\{[^{}]*\}|[{}]")]
    private static partial Regex Placeholders();
}
