using System.CommandLine;
using Flamingo.Cli.Arguments;

namespace Flamingo.Cli.Running;

/// <summary>The <c>--model</c> option, which is the same for all commands.</summary>
public static class ModelOption
{
    public static Option<DirectoryInfo> Create() => new Option<DirectoryInfo>("--model", "-m")
    {
        HelpName = "DIR",
        Description = "A model directory that 'flamingo import' created. Default: models/shapes in the current directory or its parents, "
            + "otherwise the one that came with the program.",
    }.MustExist("a model directory");
}
