using System.CommandLine;
using Flamingo.Checkpoints;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Inspecting;

/// <summary><c>flamingo inspect</c> describes a model directory without loading the model.</summary>
public static class InspectCommand
{
    public static Command Create()
    {
        var model = new Argument<DirectoryInfo>("MODEL") { Description = "The model directory." }.MustExist("a model directory");
        var verify = new Option<bool>("--verify")
        {
            Description = "Read all weights and compare all digests with flamingo.json. The exit code is 1 if one differs.",
        };
        const string Description =
            "Print what a model directory holds: sizes, parameters, dtypes, special tokens, preprocessing, digests, provenance.";
        var command = new Command("inspect", Description) { model, verify };
        command.SetAction(parsed =>
        {
            var directory = ModelDirectory.Open(parsed.GetRequiredValue(model).FullName);
            var output = parsed.InvocationConfiguration.Output;
            ModelSummary.Write(directory, output);
            if (!parsed.GetValue(verify)) return ExitCode.Done;
            var faults = DigestVerification.Run(directory, output);
            return faults.Count == 0
                ? ExitCode.Done
                : throw new CheckpointException($"{directory.Path} is damaged: {string.Join(' ', faults)} Copy or import it again.");
        });
        return command;
    }
}
