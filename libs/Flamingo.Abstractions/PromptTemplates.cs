namespace Flamingo.Abstractions;

/// <summary>How a checkpoint was trained to be asked; a task without a template is one that the checkpoint does not know.</summary>
public sealed record PromptTemplates
{
    /// <summary>What is in a picture.</summary>
    public PromptTemplate? Caption { get; init; }

    /// <summary>A question about a picture.</summary>
    public PromptTemplate? Answer { get; init; }

    /// <summary>Which of several labels a picture has.</summary>
    public PromptTemplate? Classify { get; init; }

    /// <summary>
    /// One turn of a conversation, for checkpoints that hold one; the next follows it immediately. A turn may have no picture or
    /// several.
    /// </summary>
    public PromptTemplate? Chat { get; init; }
}

/// <param name="Text">
/// A whole example: <c>{picture}</c>, where there is one <c>{question}</c>, <c>{answer}</c>, and what ends it. A query is the same
/// up to its answer.
/// </param>
public sealed record PromptTemplate(string Text)
{
    public const string Picture = "{picture}", Question = "{question}", Answer = "{answer}";

    /// <summary>Examples without a picture for a query that has none (the papers' zero-shot takes two).</summary>
    public IReadOnlyList<PrimingExample> ZeroShot { get; init; } = [];

    /// <summary>An answer ends before any of these.</summary>
    public IReadOnlyList<string> CutAt { get; init; } = [];
}

/// <param name="Question">Empty where the template has none.</param>
public sealed record PrimingExample(string Question, string Answer);
