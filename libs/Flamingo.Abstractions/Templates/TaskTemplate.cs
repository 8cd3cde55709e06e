namespace Flamingo.Abstractions.Templates;

/// <summary>A prompt template, split into the text before the picture, the text after it, and the text that ends an answer.</summary>
public sealed class TaskTemplate
{
    private readonly string _before, _after, _gap;
    private readonly SpecialTokenEscaper _escaper;

    public TaskTemplate(PromptTemplate template, SpecialTokenEscaper escaper)
    {
        Source = template;
        var answer = template.Text.IndexOf(PromptTemplate.Answer, StringComparison.Ordinal);
        // a space before the answer belongs to the answer, because tokenizers join it with the word
        var query = template.Text[..answer].TrimEnd(' ');
        var picture = query.IndexOf(PromptTemplate.Picture, StringComparison.Ordinal);
        (_before, _after) = (query[..picture], query[(picture + PromptTemplate.Picture.Length)..]);
        _gap = _before.Length > 0 && !char.IsWhiteSpace(_before[^1]) && BeginsWithWord(_after) ? " " : "";
        (Lead, End) = (template.Text[query.Length..answer], template.Text[(answer + PromptTemplate.Answer.Length)..]);
        _escaper = escaper;
    }

    /// <param name="name">Name of the template in the model's flamingo.json.</param>
    /// <param name="template">The model's template of this name; null if it has none.</param>
    /// <param name="field">The field of the request that asks for the task.</param>
    /// <exception cref="FlamingoException">InvalidArgument: the model has no such template.</exception>
    public static TaskTemplate Of(LanguageModelDescription model, string name, PromptTemplate? template, string field) =>
        template is not null
            ? new TaskTemplate(template, new SpecialTokenEscaper(model)) { MostAnswers = model.MaxCandidates }
            : throw FlamingoException.Invalid(
                field, $"The model '{model.ModelId}' has no template for {name}.",
                $"Write the prompt yourself and call Generate or Rank, or add prompts.{name} to the model's flamingo.json.");

    public PromptTemplate Source { get; }

    /// <summary>Most answers that one call of the model scores.</summary>
    public int MostAnswers { get; init; } = int.MaxValue;

    /// <summary>Spaces between a query and its answer.</summary>
    public string Lead { get; }

    /// <summary>Text that follows an answer.</summary>
    public string End { get; }

    public bool HasQuestion => Source.Text.Contains(PromptTemplate.Question, StringComparison.Ordinal);

    public bool BeginsWithPicture => _before.Length == 0;

    /// <summary>
    /// Stop strings of an answer. <see cref="End"/> is not among them if it begins with a special token, which is a stop token.
    /// </summary>
    public IEnumerable<string> Ends => (_escaper.BeginsWithSpecialToken(End) ? Source.CutAt : Source.CutAt.Prepend(End)).Distinct();

    /// <summary>Returns an answer in the form in which it continues a query.</summary>
    public string Answer(string words) => Lead + _escaper.Escape(words);

    /// <param name="path">Path of the picture in the request.</param>
    public void AddExample(TaskSegments segments, TaskExample example, string path)
    {
        AddQuery(segments, example.Visual is { } visual ? [(visual, path)] : [], example.Question);
        segments.Add(Answer(example.Answer) + End);
    }

    /// <param name="visuals">
    /// The pictures with their paths in the request. Without a picture, a space separates the question from the text before it
    /// ("User: hi"); a picture follows that text directly.
    /// </param>
    /// <param name="newText">Whether the text after the pictures begins a new segment.</param>
    public void AddQuery(
        TaskSegments segments, IReadOnlyList<(FlamingoVisual Visual, string Path)> visuals, string question, bool newText = false)
    {
        segments.Add(Fill(_before, question) + (visuals.Count == 0 ? _gap : ""));
        foreach (var (visual, path) in visuals) segments.Add(visual, path);
        if (newText) segments.StartNewText();
        segments.Add(Fill(_after, question));
    }

    /// <summary>Adds the checkpoint's own examples without pictures, with which the zero-shot prompts of the papers begin.</summary>
    public void AddZeroShot(TaskSegments segments)
    {
        foreach (var example in Source.ZeroShot) AddExample(segments, new TaskExample(null, example.Question, example.Answer), "");
    }

    /// <summary>
    /// Adds all turns, the last one up to its reply. The first two segments do not change while the conversation grows, because
    /// they select the replica that holds the cached prefix.
    /// </summary>
    /// <param name="path">Gives the path in the request of a turn's picture, both by their index.</param>
    public void AddTurns(TaskSegments segments, IReadOnlyList<ChatTurn> turns, Func<int, int, string> path)
    {
        foreach (var (index, turn) in turns.Index())
        {
            AddQuery(
                segments, [.. turn.Visuals.Select((visual, visualIndex) => (visual, path(index, visualIndex)))], turn.Text,
                newText: index == 0);
            if (index == 0) segments.StartNewText();
            // in the form in which it was generated
            if (turn.Reply is { } reply) segments.Add((reply.Length == 0 ? "" : Answer(reply)) + End);
        }
    }

    /// <summary>Returns the parameters with the stop strings of an answer. A beam search ends only at stop tokens: cut its
    /// answer.</summary>
    public SamplingParameters WithEnds(SamplingParameters sampling)
    {
        if (sampling.Beams > 1) return sampling;
        var free = Math.Max(0, PromptRules.MostStopStrings - sampling.StopStrings.Count);
        return sampling with { StopStrings = [.. sampling.StopStrings, .. Ends.Except(sampling.StopStrings).Take(free)] };
    }

    /// <summary>Returns generated text without the text that ends an answer and without surrounding spaces.</summary>
    public string Cut(string text)
    {
        foreach (var end in Ends)
        {
            var at = text.IndexOf(end, StringComparison.Ordinal);
            if (at >= 0) text = text[..at];
        }

        return text.Trim();
    }

    private static bool BeginsWithWord(string text) =>
        text.StartsWith(PromptTemplate.Question, StringComparison.Ordinal) || (text.Length > 0 && char.IsLetterOrDigit(text[0]));

    private string Fill(string part, string question) =>
        part.Replace(PromptTemplate.Question, _escaper.Escape(question), StringComparison.Ordinal);
}
