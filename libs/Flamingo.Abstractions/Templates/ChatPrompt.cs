namespace Flamingo.Abstractions.Templates;

/// <summary>
/// From messages to a prompt, for every door that speaks in messages; docs/openai.md has the rules in words, and ten conversations with
/// their prompts. A checkpoint with a chat template uses it. With other checkpoints the earlier turns are the shots of a prompt, and every
/// turn chooses its template: words behind a picture are a question, a picture without words behind it asks for a caption, and words
/// without a picture are a question too.
/// </summary>
public sealed class ChatPrompt
{
    private const string Messages = "messages";

    private readonly TaskSegments _segments = new(Messages);
    private readonly SpecialTokenEscaper _escaper;
    private readonly FlamingoChatRequest _request;
    private readonly string _path;
    private readonly TaskTemplate? _template;
    private readonly bool _isChat;

    /// <param name="path">Path in the caller's request of the fields of <paramref name="request"/>; empty, or with a period at its end.
    /// </param>
    /// <exception cref="FlamingoException">InvalidArgument: the turns do not make a prompt of this model.</exception>
    public ChatPrompt(
        IReadOnlyList<PromptMessage> messages, LanguageModelDescription model, FlamingoChatRequest request, string path = "")
    {
        (_escaper, _request, _path) = (new SpecialTokenEscaper(model), request, path);
        if (request.Task == ChatPromptTask.Raw)
        {
            foreach (var part in messages.SelectMany(message => message.Parts)) AddUnchanged(part);
            return;
        }

        var turns = Turns(messages, out var system);
        AddSystem(system);
        _isChat = request.Task is null && model.Prompts.Chat is not null;
        _template = _isChat ? AddChat(turns, model) : AddShots(turns, model);
    }

    /// <summary>The request with the prompt, and with the stop strings of its template.</summary>
    public FlamingoRequest Request => new(_segments.Segments, _template?.WithEnds(_request.Sampling) ?? _request.Sampling)
    {
        Tenant = _request.Tenant, SupportSet = _request.SupportSet, PinPrefix = _request.PinPrefix, Attention = _request.Attention,
    };

    /// <summary>Returns a refusal with the paths of the messages instead of those of the segments.</summary>
    public FlamingoException Translate(FlamingoException refusal) => _segments.Translate(refusal);

    /// <summary>
    /// Makes the text of generated tokens the text of a reply: as <see cref="ITasks.ChatAsync"/> with a chat template, and as the texts of
    /// the other tasks, without surrounding spaces, with theirs.
    /// </summary>
    /// <returns>A function for the events of one answer, in their order.</returns>
    public Func<AnswerEvent, AnswerEvent> ReplyTexts()
    {
        if (_template is null) return item => item;
        if (_isChat)
        {
            var lead = new ReplyText(_template.Lead);
            return item => item is AnswerTokens tokens ? lead.TrimLead(tokens) : item;
        }

        // The spaces at the end of what has arrived, by sample; they follow if more text does.
        var (held, template, isBeamSearch) = (new Dictionary<int, string>(), _template, _request.Sampling.Beams > 1);
        return item =>
        {
            if (item is not AnswerTokens tokens) return item;
            var begun = held.TryGetValue(tokens.Sample, out var before);
            var text = before + (isBeamSearch ? template.Cut(tokens.Text) : tokens.Text);
            if (!begun) text = text.TrimStart();
            var end = text.TrimEnd();
            if (begun || text.Length > 0) held[tokens.Sample] = text[end.Length..];
            return tokens with { Text = end };
        };
    }

    private sealed record Turn(PromptMessage Asked, string? Reply)
    {
        private int LastPicture { get; } = Asked.Parts.ToList().FindLastIndex(part => part.Visual is not null);

        public bool HasPictures => LastPicture >= 0;

        private int FirstOfLast
        {
            get
            {
                var first = LastPicture;
                while (first > 0 && Asked.Parts[first - 1].Visual is not null) first--;
                return first;
            }
        }

        /// <summary>What stands before the last pictures that stand side by side.</summary>
        public IEnumerable<PromptPart> Before => HasPictures ? Asked.Parts.Take(FirstOfLast) : [];

        /// <summary>The last pictures that stand side by side.</summary>
        public IReadOnlyList<(FlamingoVisual, string)> Pictures =>
            HasPictures ? [.. Asked.Parts.Take(LastPicture + 1).Skip(FirstOfLast).Select(Placed)] : [];

        public IReadOnlyList<(FlamingoVisual Visual, string Path)> AllPictures =>
            [.. Asked.Parts.Where(part => part.Visual is not null).Select(Placed)];

        /// <summary>The texts behind the last picture.</summary>
        public string Words => Joined(Asked.Parts.Skip(LastPicture + 1));

        public string AllWords => Joined(Asked.Parts);

        private static (FlamingoVisual, string) Placed(PromptPart part) => (part.Visual!, part.Path);

        private static string Joined(IEnumerable<PromptPart> parts) =>
            string.Join('\n', parts.Where(part => part.Text is not null).Select(part => part.Text));
    }

    private static List<Turn> Turns(IReadOnlyList<PromptMessage> messages, out IReadOnlyList<PromptMessage> system)
    {
        system = [.. messages.TakeWhile(message => message.Role == PromptMessage.System)];
        var turns = new List<Turn>();
        foreach (var message in messages.Skip(system.Count))
        {
            var isAsked = turns is [.., { Reply: null }];
            if (message.Role == PromptMessage.System)
                throw FlamingoException.Invalid(
                    message.Path, "A system message follows the first user message.", "Send it as the first message.");
            if (message.Role == PromptMessage.User && isAsked)
                throw FlamingoException.Invalid(
                    message.Path, "A user message follows another that has no reply.",
                    "Send the assistant's reply between them, or join the two.");
            if (message.Role == PromptMessage.Assistant && !isAsked)
                throw FlamingoException.Invalid(
                    message.Path, "An assistant message replies to no user message.", "Send the user message before it.");
            if (message.Role == PromptMessage.User) turns.Add(new Turn(message, null));
            else turns[^1] = turns[^1] with { Reply = Text(message) };
        }

        return turns is [.., { Reply: null }]
            ? turns
            : throw FlamingoException.Invalid(Messages, "The last message is not the user's.", "End with a message of role user.");
    }

    private static string Text(PromptMessage message) => string.Join('\n', message.Parts.Select(part => part.Text));

    private void AddUnchanged(PromptPart part)
    {
        if (part.Visual is { } visual) _segments.Add(visual, part.Path);
        else _segments.Add(part.Text!, part.Path);
    }

    private void AddSystem(IReadOnlyList<PromptMessage> system)
    {
        var text = string.Join('\n', system.Select(Text));
        _segments.Add(_escaper.Escape(text));
        if (text.Length > 0 && !char.IsWhiteSpace(text[^1])) _segments.Add("\n");
    }

    private TaskTemplate AddChat(List<Turn> turns, LanguageModelDescription model)
    {
        var template = TaskTemplate.Of(model, "chat", model.Prompts.Chat, Messages);
        var pictures = turns.ConvertAll(turn => turn.AllPictures);
        var chat = turns.Select((turn, index) =>
            new ChatTurn([.. pictures[index].Select(picture => picture.Visual)], turn.AllWords, turn.Reply));
        var (task, faults) = (new ChatTask([.. chat], _request.Sampling), new FaultList());
        TaskRules.CheckTurns(task, template, faults);
        TaskRules.CheckSources(template, turns.Count > 1, _request.SupportSet, _request.ZeroShot, _path, faults);
        // a fault of a turn is one of its user message
        PromptRules.ThrowIfAny([.. faults.Select(fault => fault with { Field = MessageOf(fault.Field, turns) })]);
        if (_request.ZeroShot != false) template.AddZeroShot(_segments);
        template.AddTurns(_segments, task.Turns, (turn, visual) => pictures[turn][visual].Path);
        return template;
    }

    private static string MessageOf(string field, List<Turn> turns)
    {
        const string Start = "turns[";
        if (field == "turns") return Messages;
        if (!field.StartsWith(Start, StringComparison.Ordinal)) return field;
        return turns[int.Parse(field.AsSpan(Start.Length, field.IndexOf(']', StringComparison.Ordinal) - Start.Length), provider: null)]
            .Asked.Path;
    }

    private TaskTemplate AddShots(List<Turn> turns, LanguageModelDescription model)
    {
        var faults = new FaultList();
        var templates = turns.ConvertAll(turn => TemplateOf(turn, model, _request.Task));
        TaskRules.CheckSources(templates[^1], turns.Count > 1, _request.SupportSet, _request.ZeroShot, _path, faults);
        PromptRules.ThrowIfAny(faults);

        if (_request.ZeroShot ?? (turns.Count == 1 && _request.SupportSet is null)) templates[^1].AddZeroShot(_segments);
        foreach (var (turn, template) in turns.Zip(templates))
        {
            var (before, words) = (turn.Before.ToList(), turn.Words);
            if (template.HasQuestion && words.Length == 0)
            {
                // the task is to answer, so the words before the picture are the question
                var asked = before.FindLastIndex(part => part.Visual is not null) + 1;
                words = string.Join('\n', before.Skip(asked).Select(part => part.Text));
                before.RemoveRange(asked, before.Count - asked);
            }

            Check(turn, template, words);
            AddBefore(before);
            template.AddQuery(_segments, turn.Pictures, words);
            if (turn.Reply is { } reply) _segments.Add(template.Answer(reply) + template.End);
        }

        return templates[^1];
    }

    private static TaskTemplate TemplateOf(Turn turn, LanguageModelDescription model, ChatPromptTask? task) =>
        (task ?? (turn.HasPictures && turn.Words.Length == 0 ? ChatPromptTask.Caption : ChatPromptTask.Answer)) == ChatPromptTask.Caption
            ? TaskTemplate.Of(model, "caption", model.Prompts.Caption, turn.Asked.Path)
            : TaskTemplate.Of(model, "answer", model.Prompts.Answer, turn.Asked.Path);

    private void Check(Turn turn, TaskTemplate template, string words)
    {
        if (!turn.HasPictures && words.Length == 0)
            throw FlamingoException.Invalid(turn.Asked.Path, "The message is empty.", "Send text or a picture.");
        if (template.HasQuestion && words.Length == 0)
            throw FlamingoException.Invalid(turn.Asked.Path, "There is no question beside the picture.", "Send it as a text.");
        if (!template.HasQuestion && words.Length > 0)
            throw FlamingoException.Invalid(
                turn.Asked.Path, "A text stands behind the picture, and a caption has no question.",
                $"Leave it out, send it before the picture, or ask with {_path}task = answer.");
        if (turn.Reply is { Length: 0 })
            throw FlamingoException.Invalid(turn.Asked.Path, "The reply to this message is empty.", "Send at least one character.");
    }

    private void AddBefore(List<PromptPart> parts)
    {
        foreach (var (index, part) in parts.Index())
        {
            if (part.Visual is { } visual)
            {
                _segments.Add(visual, part.Path);
                continue;
            }

            if (index > 0 && parts[index - 1].Text is not null) _segments.Add("\n");
            _segments.Add(_escaper.Escape(part.Text!));
        }
    }
}
