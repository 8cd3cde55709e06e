namespace Flamingo.Abstractions;

/// <summary>The prompt templates that a checkpoint was trained with. A checkpoint does not support a task that has no template.</summary>
public sealed record PromptTemplates
{
    /// <summary>Describes a picture.</summary>
    public PromptTemplate? Caption { get; init; }

    /// <summary>Answers a question about a picture.</summary>
    public PromptTemplate? Answer { get; init; }

    /// <summary>Chooses one of several labels for a picture.</summary>
    public PromptTemplate? Classify { get; init; }

    /// <summary>
    /// One turn of a conversation, for checkpoints that support conversations. The next turn follows immediately. A turn may have
    /// no picture or several pictures.
    /// </summary>
    public PromptTemplate? Chat { get; init; }
}

/// <param name="Text">
/// A complete example: <c>{picture}</c>, for some tasks <c>{question}</c>, <c>{answer}</c>, and the text that ends the example. A
/// query uses the template up to <c>{answer}</c>.
/// </param>
public sealed record PromptTemplate(string Text)
{
    public const string Picture = "{picture}", Question = "{question}", Answer = "{answer}";

    /// <summary>Examples without a picture that precede a query without examples (the papers' zero-shot prompts use two).</summary>
    public IReadOnlyList<PrimingExample> ZeroShot { get; init; } = [];

    /// <summary>An answer is cut before the first occurrence of any of these texts.</summary>
    public IReadOnlyList<string> CutAt { get; init; } = [];
}

/// <param name="Question">Empty if the template has no question.</param>
public sealed record PrimingExample(string Question, string Answer);
