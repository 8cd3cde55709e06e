using System.CommandLine;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;
using Flamingo.Stages;

namespace Flamingo.Cli.Tasks;

/// <summary><c>flamingo caption</c>: what is in a picture, asked in the words that the model was trained on.</summary>
public static class CaptionCommand
{
    public static Command Create()
    {
        var (json, task, sampling) = (TaskReport.JsonOption(), new TaskOptions(asks: false), new SamplingOptions());
        var command = new Command("caption", "Say what is in a picture, asked by the model's own template.");
        task.AddTo(command);
        command.Add(json);
        sampling.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var request = new CaptionTask(task.Read(parsed), sampling.Apply(parsed, new SamplingParameters()));
            await using var opened = await task.OpenAsync(parsed, error, cancellation);
            var answer = await opened.Tasks.CaptionAsync(request, cancellation);
            await TaskReport.WriteAsync(answer, request.Sampling, parsed.GetValue(json), output, error);
            return ExitCode.Done;
        });
        return command;
    }
}
