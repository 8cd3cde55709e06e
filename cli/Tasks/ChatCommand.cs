using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Attention;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Tasks;

/// <summary><c>flamingo chat</c> holds a conversation in which each line of input is one turn of the user.</summary>
public static class ChatCommand
{
    // The default is higher than for the other commands, because replies are longer than captions.
    private const int MostTokens = 256;

    /// <param name="input">The source of the user's lines; null for standard input.</param>
    public static Command Create(UserInput? input)
    {
        var picture = new Option<string[]>("--picture")
        {
            HelpName = "FILE", AllowMultipleArgumentsPerToken = true,
            Description = "A picture for the first turn, a JPEG, PNG, WebP, GIF or BMP file. Repeatable; the order is kept.",
        };
        var json = new Option<bool>("--json")
        {
            Description = "Print one JSON object per line for each complete reply: text, ids, finish_reason, "
            + "prompt_tokens, pictures, cache, timings (milliseconds), cached_tokens; also seed for a sampled reply, "
            + "log_probabilities and samples if they were requested.",
        };
        var attention = new AttentionOption(
            "Draw the attention of each token of a reply over the conversation's last picture: one panel per token, with its text below. "
            + "Each reply has a file of its own: FILE-1.png, FILE-2.png, and so on.");
        var (answerer, sampling) = (new AnswererOptions(takesExamples: false), new SamplingOptions(MostTokens));
        const string Description = "Hold a conversation with the model's chat template (IDEFICS instruct has one). Every line of standard "
        + "input is a turn. The reply is written to standard output while it is generated, all other output to standard error. "
        + $"A line '{ChatSession.PictureCommand} FILE' adds a picture to the next turn. The conversation ends with the input; "
        + "if the input is not a terminal, an error ends it too.";
        var command = new Command("chat", Description) { picture };
        answerer.AddTo(command);
        command.Add(json);
        attention.AddTo(command);
        sampling.AddTo(command);
        picture.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => token.Value == InputFile.StandardInput))
                result.AddError($"{picture.Name}: standard input holds the turns of the conversation. Name {InputFile.Pictures}.");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error, faults) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error, new List<string>());
            var names = new FieldNames();
            var wanted = sampling.Apply(parsed, new SamplingParameters { MaxTokens = MostTokens }, names, error);
            var task = new ChatTask([], attention.Apply(parsed, wanted))
            {
                Tenant = answerer.Tenant(parsed), PinPrefix = answerer.Pin(parsed), Attention = attention.Choice(parsed, names),
            };
            var pictures = (parsed.GetValue(picture) ?? []).Select(file => (file, PictureFile.Read(file, faults))).ToList();
            if (faults.Count > 0) throw new UsageException(faults);
            await using var opened = await answerer.OpenAsync(parsed, names, error, cancellation);

            // This is checked before the first turn is read.
            var model = await opened.Flamingo.GetModelAsync(cancellation);
            if (model.Language.Prompts.Chat is null)
                throw new FlamingoException(FlamingoErrorKind.InvalidArgument,
                    $"The model '{model.Language.ModelId}' has no chat template. Use 'flamingo answer' or 'flamingo generate', "
                    + "a model with one (IDEFICS instruct), or put prompts.chat into flamingo.json.");
            var writer = new AnswerWriter(output, error, wanted, parsed.GetValue(json), cachedTokens: true);
            await new ChatSession(opened.Tasks, task, names, input ?? UserInput.Standard, writer, error)
            {
                Drawn = attention.File(parsed) is not { } sheet ? null : (number, reply, picture) => AttentionSheet.WriteAsync(
                    AttentionSheet.Numbered(sheet, number), reply, picture, model, error),
            }.RunAsync(pictures, cancellation);
            return ExitCode.Done;
        });
        return command;
    }
}
