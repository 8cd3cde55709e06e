using System.Text.RegularExpressions;

namespace Flamingo.Abstractions;

/// <summary>What every template must obey, checked where it is loaded; all faults at once.</summary>
public static partial class PromptTemplateRules
{
    /// <param name="pictureMarkers">Texts that stand for pictures, and may not stand in a template.</param>
    /// <returns>One sentence per fault.</returns>
    public static IReadOnlyList<string> Faults(PromptTemplates templates, IReadOnlyList<string> pictureMarkers)
    {
        var faults = new List<string>();
        Check("caption", templates.Caption, asks: false);
        Check("answer", templates.Answer, asks: true);
        Check("classify", templates.Classify, asks: false);
        Check("chat", templates.Chat, asks: true);
        return faults;

        void Check(string name, PromptTemplate? template, bool asks)
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
            Once(PromptTemplate.Question, asks ? 1 : 0);
            if (faults.Count > before) return;

            var answer = text.IndexOf(PromptTemplate.Answer, StringComparison.Ordinal);
            if (text.LastIndexOf(PromptTemplate.Picture, StringComparison.Ordinal) > answer
                || text.LastIndexOf(PromptTemplate.Question, StringComparison.Ordinal) > answer)
                faults.Add($"prompts.{name}: {PromptTemplate.Answer} stands last.");
            if (answer + PromptTemplate.Answer.Length == text.Length)
                faults.Add($"prompts.{name}: nothing ends an example; put what does behind {PromptTemplate.Answer}.");
            if (template.CutAt.Any(cut => cut.Length == 0)) faults.Add($"prompts.{name}.cut_at holds an empty text.");
            foreach (var example in template.ZeroShot)
            {
                if (example.Answer.Length == 0 || (example.Question.Length > 0) != asks)
                    faults.Add(
                        $"prompts.{name}.zero_shot: an example has {(asks ? "a question and " : "")}an answer{(asks ? "" : " alone")}.");
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
