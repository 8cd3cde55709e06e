using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Attention;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Generating;

/// <summary><c>flamingo generate</c> continues a prompt, with a model in this process or on a server.</summary>
public static class GenerateCommand
{
    public static Command Create()
    {
        var json = new Option<bool>("--json")
        {
            Description = "Print one JSON object when the answer is complete: text, ids, finish_reason, prompt_tokens, pictures, cache, "
            + "timings (milliseconds); also seed for a sampled answer, shots with --support-set, cached_tokens with --pin, "
            + "log_probabilities and samples if they were requested.",
        };
        var attention = new AttentionOption(
            "Draw the attention of each generated token over the prompt's last picture: one panel per token, with its text below.");
        var (question, sampling) = (new QuestionOptions(), new SamplingOptions());
        var command = new Command(
            "generate",
            "Continue a prompt of interleaved pictures and text. The text is written to standard output while it is generated, all other "
            + "output to standard error.");
        question.AddTo(command);
        command.Add(json);
        attention.AddTo(command);
        sampling.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var names = new FieldNames();
            var request = question.Read(parsed, names);
            var asked = sampling.Apply(parsed, request.Sampling, names, error);
            request = request with { Sampling = attention.Apply(parsed, asked), Attention = attention.Choice(parsed, names) };
            await using var opened = await question.OpenAsync(parsed, names, error, cancellation);
            request = await question.EndShotsAsync(parsed, request, opened.Flamingo, cancellation);
            var answer = await names.AskAsync(() =>
                new AnswerWriter(output, error, asked, parsed.GetValue(json), cachedTokens: request.PinPrefix is not null)
                    .WriteAsync(opened.Flamingo.GenerateAsync(request, cancellation), cancellation));
            if (attention.File(parsed) is not { } sheet) return ExitCode.Done;
            var model = await opened.Flamingo.GetModelAsync(cancellation);
            await AttentionSheet.WriteAsync(sheet, answer, request.Segments.OfType<FlamingoVisual>().LastOrDefault(), model, error);
            return ExitCode.Done;
        });
        return command;
    }
}
