using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Tasks;

/// <summary><c>flamingo answer</c> answers a question about a picture.</summary>
public static class AnswerCommand
{
    public static Command Create()
    {
        var question = new Argument<string>("question")
        {
            HelpName = "QUESTION", Description = "The question, for example \"what color is the heart?\".",
        };
        var (json, task, sampling) = (TaskReport.JsonOption(), new TaskOptions(asks: true), new SamplingOptions(oneAnswer: true));
        var command = new Command("answer", "Answer a question about a picture, using the model's prompt template.");
        task.AddTo(command);
        command.Add(question);
        command.Add(json);
        sampling.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var names = new FieldNames();
            var request = new AnswerTask(task.Read(parsed, names), parsed.GetRequiredValue(question),
                sampling.Apply(parsed, new SamplingParameters(), names, error));
            names.Add("question", "QUESTION");
            await using var opened = await task.OpenAsync(parsed, names, error, cancellation);
            var answer = await names.AskAsync(() => opened.Tasks.AnswerAsync(request, cancellation));
            await TaskReport.WriteAsync(answer, request.Sampling, parsed.GetValue(json), output, error);
            return ExitCode.Done;
        });
        return command;
    }
}
