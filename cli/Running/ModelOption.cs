using System.CommandLine;
using Flamingo.Cli.Arguments;

namespace Flamingo.Cli.Running;

/// <summary>The <c>--model</c> option as every command spells it.</summary>
public static class ModelOption
{
    public static Option<DirectoryInfo> Create() => new Option<DirectoryInfo>("--model", "-m")
    {
        HelpName = "DIR",
        Description = "A model directory made by 'flamingo import'. Default: models/shapes, found from the current directory upward.",
    }.MustExist("a model directory");
}
