using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Tasks;

/// <summary><c>flamingo caption</c> describes a picture, using the prompt template with which the model was trained.</summary>
public static class CaptionCommand
{
    public static Command Create()
    {
        var (json, task, sampling) = (TaskReport.JsonOption(), new TaskOptions(asks: false), new SamplingOptions(oneAnswer: true));
        var command = new Command("caption", "Describe a picture, using the model's prompt template.");
        task.AddTo(command);
        command.Add(json);
        sampling.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var names = new FieldNames();
            var request = new CaptionTask(task.Read(parsed, names), sampling.Apply(parsed, new SamplingParameters(), names, error));
            await using var opened = await task.OpenAsync(parsed, names, error, cancellation);
            var answer = await names.AskAsync(() => opened.Tasks.CaptionAsync(request, cancellation));
            await TaskReport.WriteAsync(answer, request.Sampling, parsed.GetValue(json), output, error);
            return ExitCode.Done;
        });
        return command;
    }
}
