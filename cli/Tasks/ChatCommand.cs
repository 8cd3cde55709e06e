using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Tasks;

/// <summary><c>flamingo chat</c>: a conversation, the user's turns line by line.</summary>
public static class ChatCommand
{
    // a reply is longer than a caption
    private const int MostTokens = 256;

    /// <param name="input">Null: standard input.</param>
    public static Command Create(UserInput? input)
    {
        var picture = new Option<string[]>("--picture")
        {
            HelpName = "FILE", AllowMultipleArgumentsPerToken = true,
            Description = "A picture of the first turn, a JPEG, PNG, WebP, GIF or BMP file; repeatable, order kept.",
        };
        var json = new Option<bool>("--json")
        {
            Description = "Print one JSON object per reply when it is whole, on a line of its own: text, ids, finish_reason, "
                + "prompt_tokens, pictures, cache, timings (milliseconds), cached_tokens; seed where it was sampled, "
                + "log_probabilities and samples where asked for.",
        };
        var (answerer, sampling) = (new AnswererOptions(takesExamples: false), new SamplingOptions(MostTokens));
        const string Description = "Hold a conversation by the model's own template (IDEFICS instruct has one): every line of standard "
            + "input is a turn, its reply goes to standard output as it is made, everything else to standard error. "
            + $"A line '{ChatSession.PictureCommand} FILE' shows a picture with the next turn; the end of input ends it. "
            + "What is wrong ends it too, unless somebody types at a terminal.";
        var command = new Command("chat", Description) { picture };
        answerer.AddTo(command);
        command.Add(json);
        sampling.AddTo(command);
        picture.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => token.Value == InputFile.StandardInput))
                result.AddError($"{picture.Name}: standard input holds the turns. Name {InputFile.Pictures}.");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error, faults) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error, new List<string>());
            var names = new FieldNames();
            var task = new ChatTask([], sampling.Apply(parsed, new SamplingParameters { MaxTokens = MostTokens }, names, error))
                { Tenant = answerer.Tenant(parsed), PinPrefix = answerer.Pin(parsed) };
            var pictures = (parsed.GetValue(picture) ?? []).Select(file => (file, PictureFile.Read(file, faults))).ToList();
            if (faults.Count > 0) throw new UsageException(faults);
            await using var opened = await answerer.OpenAsync(parsed, names, error, cancellation);

            // told before the user says anything
            var model = (await opened.Flamingo.GetModelAsync(cancellation)).Language;
            if (model.Prompts.Chat is null)
                throw new FlamingoException(FlamingoErrorKind.InvalidArgument, $"The model '{model.ModelId}' has no template for chat. "
                    + "Use 'flamingo answer' or 'flamingo generate', "
                    + "a model with one (IDEFICS instruct), or put prompts.chat into flamingo.json.");
            var writer = new AnswerWriter(output, error, task.Sampling, parsed.GetValue(json), cachedTokens: true);
            await new ChatSession(opened.Tasks, task, names, input ?? UserInput.Standard, writer, error).RunAsync(pictures, cancellation);
            return ExitCode.Done;
        });
        return command;
    }
}
