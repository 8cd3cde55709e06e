using Flamingo.Abstractions;

namespace Flamingo.Gateway.Tasks;

/// <summary>A template, taken apart: before the picture, after it, the answer, the end.</summary>
internal sealed class TaskTemplate
{
    private readonly string _before, _after, _gap;
    private readonly PlainWords _plain;

    public TaskTemplate(PromptTemplate template, PlainWords plain)
    {
        Source = template;
        var answer = template.Text.IndexOf(PromptTemplate.Answer, StringComparison.Ordinal);
        var query = template.Text[..answer].TrimEnd(' '); // a blank before the answer begins the answer: tokenizers keep it with the word
        var picture = query.IndexOf(PromptTemplate.Picture, StringComparison.Ordinal);
        (_before, _after) = (query[..picture], query[(picture + PromptTemplate.Picture.Length)..]);
        _gap = _before.Length > 0 && !char.IsWhiteSpace(_before[^1]) && BeginsWithWords(_after) ? " " : "";
        (Lead, End) = (template.Text[query.Length..answer], template.Text[(answer + PromptTemplate.Answer.Length)..]);
        _plain = plain;
    }

    public PromptTemplate Source { get; }

    /// <summary>Blanks between a query and its answer.</summary>
    public string Lead { get; }

    /// <summary>What stands behind an answer.</summary>
    public string End { get; }

    public bool Asks => Source.Text.Contains(PromptTemplate.Question, StringComparison.Ordinal);

    public bool BeginsWithPicture => _before.Length == 0;

    /// <summary>Texts that end an answer where no stop token does.</summary>
    public IEnumerable<string> Ends => (_plain.BeginsSpecial(End) ? Source.CutAt : Source.CutAt.Prepend(End)).Distinct();

    /// <summary>An answer as it continues a query.</summary>
    public string Answer(string words) => Lead + _plain.Of(words);

    /// <param name="path">Of the picture in the request.</param>
    public void AddExample(TaskSegments segments, TaskExample example, string path)
    {
        AddQuery(segments, example.Visual is { } visual ? [(visual, path)] : [], example.Question);
        segments.Add(Answer(example.Answer) + End);
    }

    /// <param name="visuals">
    /// Each with its path in the request. None: words stand as far from what is before them as words do ("User: hi", where a
    /// picture follows "User:" at once).
    /// </param>
    /// <param name="apart">Whether what is before the words and they are segments of their own.</param>
    public void AddQuery(
        TaskSegments segments, IReadOnlyList<(FlamingoVisual Visual, string Path)> visuals, string question, bool apart = false)
    {
        segments.Add(Ask(_before, question) + (visuals.Count == 0 ? _gap : ""));
        foreach (var (visual, path) in visuals) segments.Add(visual, path);
        if (apart) segments.KeepApart();
        segments.Add(Ask(_after, question));
    }

    /// <summary>
    /// All turns, the last of them up to its reply. The first two segments stay what they were while the conversation grows: the
    /// replica that holds its prefix is found by them.
    /// </summary>
    public void AddTurns(TaskSegments segments, IReadOnlyList<ChatTurn> turns)
    {
        foreach (var (index, turn) in turns.Index())
        {
            AddQuery(
                segments, [.. turn.Visuals.Select((visual, place) => (visual, $"turns[{index}].visuals[{place}]"))], turn.Text,
                apart: index == 0);
            if (index == 0) segments.KeepApart();
            if (turn.Reply is { } reply) segments.Add((reply.Length == 0 ? "" : Answer(reply)) + End); // as it was generated
        }
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

    private static bool BeginsWithWords(string text) =>
        text.StartsWith(PromptTemplate.Question, StringComparison.Ordinal) || (text.Length > 0 && char.IsLetterOrDigit(text[0]));

    private string Ask(string part, string question) =>
        part.Replace(PromptTemplate.Question, _plain.Of(question), StringComparison.Ordinal);
}
