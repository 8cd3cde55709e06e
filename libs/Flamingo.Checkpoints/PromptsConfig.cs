namespace Flamingo.Checkpoints;

/// <summary>
/// The prompt templates that a checkpoint was trained with. A template is null if the checkpoint does not support its task.
/// </summary>
public sealed record PromptsConfig
{
    public PromptConfig? Caption { get; init; }

    public PromptConfig? Answer { get; init; }

    public PromptConfig? Classify { get; init; }

    /// <summary>One turn of a conversation.</summary>
    public PromptConfig? Chat { get; init; }

    /// <summary>
    /// Returns the templates for a model directory that has none. All OpenFlamingo checkpoints were trained with the same templates; for
    /// other layouts the result has no templates.
    /// </summary>
    public static PromptsConfig ByLayout(string layout, TokensConfig tokens) =>
        layout == "openflamingo" ? OpenFlamingo(tokens.EndOfChunk.Text) : new PromptsConfig();

    /// <summary>
    /// Returns the templates of open_flamingo's evaluation. This project chose the examples without pictures, in the style of COCO, VQAv2
    /// and ImageNet.
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
    /// Returns the templates of IDEFICS. Instruct checkpoints hold conversations. Their format is that of the section about conversations
    /// in transformers' guide "Image tasks with IDEFICS" (docs/source/en/tasks/idefics.md): a picture follows "User:" directly, every
    /// utterance ends with its token, and a line break precedes the next utterance. The guide tells the processor not to add ends of
    /// utterances, so the processor only adds the first token of the prompt and the tokens around pictures. If words come first, one blank
    /// follows "User:" in the guide; the chat template of IDEFICS 2 has the same rule. Base checkpoints continue text line by line. Their
    /// templates Caption and Answer are those of open_flamingo's evaluation of IDEFICS, and are also among those of the evaluation by the
    /// authors of IDEFICS, which put an instruction before them. This project chose Classify and the examples.
    /// </summary>
    /// <param name="endOfUtterance">Text of the token that ends an utterance. Null for base checkpoints, which have no such token.</param>
    public static PromptsConfig Idefics(string? endOfUtterance) => endOfUtterance is null
        ? new()
        {
            Caption = new PromptConfig { Template = "{picture}Caption: {answer}\n",
                ZeroShot = [new(null, "A man riding a wave on a surfboard."), new(null, "A plate of food on a wooden table.")] },
            Answer = new PromptConfig { Template = "{picture}Question: {question} Answer: {answer}\n",
                ZeroShot = [new("What color is the bus?", "red"), new("How many people are there?", "2")] },
            Classify = new PromptConfig { Template = "{picture}Class name: {answer}\n",
                ZeroShot = [new(null, "goldfish"), new(null, "school bus")] },
        }
        : new()
        {
            // Instruct checkpoints are trained to answer without examples, so there are no examples without pictures.
            Caption = new PromptConfig {
                Template = $"User:{{picture}}Describe the image briefly.{endOfUtterance}\nAssistant: {{answer}}{endOfUtterance}\n" },
            Answer = new PromptConfig {
                Template = $"User:{{picture}}{{question}}{endOfUtterance}\nAssistant: {{answer}}{endOfUtterance}\n" },
            Classify = new PromptConfig {
                Template = $"User:{{picture}}What is in the image?{endOfUtterance}\nAssistant: {{answer}}{endOfUtterance}\n" },
            Chat = new PromptConfig { Template = $"User:{{picture}}{{question}}{endOfUtterance}\nAssistant: {{answer}}{endOfUtterance}\n" },
        };
}

/// <summary>The prompt template of one task.</summary>
public sealed record PromptConfig
{
    /// <summary>
    /// Text of one example: it contains <c>{picture}</c>, then <c>{question}</c> (for answer and chat only), then <c>{answer}</c> and the
    /// text that ends the answer.
    /// </summary>
    public required string Template { get; init; }

    /// <summary>Examples without a picture that precede a query without examples. The papers use two.</summary>
    public IReadOnlyList<PrimingConfig> ZeroShot { get; init; } = [];

    /// <summary>An answer ends before the first occurrence of any of these texts.</summary>
    public IReadOnlyList<string> CutAt { get; init; } = [];
}

/// <summary>An example without a picture.</summary>
/// <param name="Question">Question of the example. Null if the template has no question.</param>
/// <param name="Answer">Answer of the example.</param>
public sealed record PrimingConfig(string? Question, string Answer);
