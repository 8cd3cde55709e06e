using System.CommandLine;
using Flamingo.Checkpoints;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Training.Golden;

namespace Flamingo.Cli.Training;

/// <summary><c>flamingo train</c>.</summary>
public static class TrainCommand
{
    public static Command Create()
    {
        var model = new Option<DirectoryInfo>("--model", "-m") { HelpName = "DIR", Required = true, Description = "The model directory." }
            .MustExist("a model directory");
        var golden = new Option<DirectoryInfo>("--golden", "-g") { HelpName = "DIR",
            Description = "Replays the recorded steps of a golden of the original training." }.MustExist("a folder with golden.json");
        var command = new Command("train", "Train the resampler and the gated blocks of a model.") { model, golden };
        command.SetAction(parsed =>
        {
            var output = parsed.InvocationConfiguration.Output;
            var opened = ModelDirectory.Open(parsed.GetRequiredValue(model).FullName);
            return GoldenReplay.Run(opened, parsed.GetValue(golden)!.FullName, output.WriteLine) ? ExitCode.Done : ExitCode.GoldenBroken;
        });
        return command;
    }
}
