using Flamingo.Stages;

namespace Flamingo.Gateway.Tasks;

/// <summary>A template, taken apart: before the picture, after it, the answer, the end.</summary>
internal sealed class TaskTemplate
{
    private readonly string _before, _after, _lead;
    private readonly PlainWords _plain;

    public TaskTemplate(PromptTemplate template, PlainWords plain)
    {
        Source = template;
        var answer = template.Text.IndexOf(PromptTemplate.Answer, StringComparison.Ordinal);
        var query = template.Text[..answer].TrimEnd(' '); // a blank before the answer begins the answer: tokenizers keep it with the word
        var picture = query.IndexOf(PromptTemplate.Picture, StringComparison.Ordinal);
        (_before, _after) = (query[..picture], query[(picture + PromptTemplate.Picture.Length)..]);
        (_lead, End) = (template.Text[query.Length..answer], template.Text[(answer + PromptTemplate.Answer.Length)..]);
        _plain = plain;
    }

    public PromptTemplate Source { get; }

    /// <summary>What stands behind an answer.</summary>
    public string End { get; }

    public bool Asks => Source.Text.Contains(PromptTemplate.Question, StringComparison.Ordinal);

    public bool BeginsWithPicture => _before.Length == 0;

    /// <summary>Texts that end an answer where no stop token does.</summary>
    public IEnumerable<string> Ends => (_plain.BeginsSpecial(End) ? Source.CutAt : Source.CutAt.Prepend(End)).Distinct();

    /// <summary>An answer as it continues a query.</summary>
    public string Answer(string words) => _lead + _plain.Of(words);

    /// <param name="path">Of the picture in the request.</param>
    public void AddExample(TaskSegments segments, TaskExample example, string path)
    {
        AddQuery(segments, example.Visual, example.Question, path);
        segments.Add(Answer(example.Answer) + End);
    }

    /// <inheritdoc cref="AddExample"/>
    public void AddQuery(TaskSegments segments, FlamingoVisual? visual, string question, string path)
    {
        segments.Add(Ask(_before, question));
        if (visual is not null) segments.Add(visual, path);
        segments.Add(Ask(_after, question));
    }

    /// <summary>What was generated, without what follows an answer and spaces around.</summary>
    public string Cut(string text)
    {
        foreach (var end in Ends)
        {
            var at = text.IndexOf(end, StringComparison.Ordinal);
            if (at >= 0) text = text[..at];
        }

        return text.Trim();
    }

    private string Ask(string part, string question) => part.Replace(PromptTemplate.Question, _plain.Of(question), StringComparison.Ordinal);
}
