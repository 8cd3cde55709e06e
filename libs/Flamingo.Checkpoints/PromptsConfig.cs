namespace Flamingo.Checkpoints;

/// <summary>How the checkpoint was trained to be asked; a task that it does not know is null.</summary>
public sealed record PromptsConfig
{
    public PromptConfig? Caption { get; init; }

    public PromptConfig? Answer { get; init; }

    public PromptConfig? Classify { get; init; }

    /// <summary>One turn of a conversation.</summary>
    public PromptConfig? Chat { get; init; }

    /// <summary>
    /// What a model directory without templates is asked with: OpenFlamingo's checkpoints all learnt the same, of others nothing is known.
    /// </summary>
    public static PromptsConfig ByLayout(string layout, TokensConfig tokens) =>
        layout == "openflamingo" ? OpenFlamingo(tokens.EndOfChunk.Text) : new PromptsConfig();

    /// <summary>
    /// As open_flamingo's evaluation asks; the examples without pictures are ours, in the style of COCO, VQAv2 and ImageNet.
    /// </summary>
    public static PromptsConfig OpenFlamingo(string endOfChunk) => new()
    {
        Caption = new PromptConfig
        {
            Template = $"{{picture}}Output:{{answer}}{endOfChunk}",
            ZeroShot = [new(null, "A man riding a wave on a surfboard."), new(null, "A plate of food on a wooden table.")],
            CutAt = ["Output"],
        },
        Answer = new PromptConfig
        {
            Template = $"{{picture}}Question:{{question}} Short answer:{{answer}}{endOfChunk}",
            ZeroShot = [new("What color is the bus?", "red"), new("How many people are there?", "2")],
            CutAt = ["Question", "Answer", "Short"],
        },
        Classify = new PromptConfig
        {
            Template = $"{{picture}}Output:{{answer}}{endOfChunk}",
            ZeroShot = [new(null, "goldfish"), new(null, "school bus")],
        },
    };

    /// <summary>
    /// IDEFICS. The instruct checkpoints hold conversations, written as in the section on conversational use of transformers'
    /// guide "Image tasks with IDEFICS" (docs/source/en/tasks/idefics.md; told to add no ends of utterances, the processor puts
    /// nothing there but the first token and those around pictures): a picture right behind "User:", every utterance ended by
    /// its token, a new line before the next. Where words come first, one blank stands behind "User:" there, and in IDEFICS 2's
    /// chat template by the same rule. The base ones continue text, line by line: Caption and Answer in the form
    /// that open_flamingo's evaluation of IDEFICS uses and that is among those of IDEFICS' own (which led with an instruction, too);
    /// Classify and the examples are ours.
    /// </summary>
    /// <param name="endOfUtterance">Null for base checkpoints, which have none.</param>
    public static PromptsConfig Idefics(string? endOfUtterance) => endOfUtterance is null
        ? new()
        {
            Caption = new PromptConfig
            {
                Template = "{picture}Caption: {answer}\n", ZeroShot = [
                    new(null, "A man riding a wave on a surfboard."), new(null, "A plate of food on a wooden table.")
                ]
            },
            Answer = new PromptConfig
            {
                Template = "{picture}Question: {question} Answer: {answer}\n", ZeroShot = [
                    new("What color is the bus?", "red"), new("How many people are there?", "2")
                ]
            },
            Classify = new PromptConfig
            {
                Template = "{picture}Class name: {answer}\n", ZeroShot = [new(null, "goldfish"), new(null, "school bus")]
            },
        }
        : new()
        {
            // trained to answer at once: no examples without pictures
            Caption = new PromptConfig
            {
                Template = $"User:{{picture}}Describe the image briefly.{endOfUtterance}\nAssistant: {{answer}}{endOfUtterance}\n"
            },
            Answer =
                new PromptConfig { Template = $"User:{{picture}}{{question}}{endOfUtterance}\nAssistant: {{answer}}{endOfUtterance}\n" },
            Classify = new PromptConfig
            {
                Template = $"User:{{picture}}What is in the image?{endOfUtterance}\nAssistant: {{answer}}{endOfUtterance}\n"
            },
            Chat = new PromptConfig { Template = $"User:{{picture}}{{question}}{endOfUtterance}\nAssistant: {{answer}}{endOfUtterance}\n" },
        };
}

public sealed record PromptConfig
{
    /// <summary>A whole example, <c>{picture}</c>, for answer and chat <c>{question}</c>, then <c>{answer}</c> and what ends it.</summary>
    public required string Template { get; init; }

    /// <summary>Examples without a picture, for a query without examples; the papers take two.</summary>
    public IReadOnlyList<PrimingConfig> ZeroShot { get; init; } = [];

    /// <summary>An answer ends before any of these.</summary>
    public IReadOnlyList<string> CutAt { get; init; } = [];
}

/// <param name="Question">Null where the template has none.</param>
public sealed record PrimingConfig(string? Question, string Answer);
