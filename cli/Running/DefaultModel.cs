using Flamingo.Checkpoints;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Running;

/// <summary>
/// The default model of all commands: <c>models/shapes</c> in the current directory or one of its parents, otherwise in the program's
/// directory or one of its parents. A published program and the dotnet tool have it in their directory.
/// </summary>
public static class DefaultModel
{
    public static string Find()
    {
        foreach (var start in new[] { Environment.CurrentDirectory, AppContext.BaseDirectory })
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                var candidate = Path.Combine(folder.FullName, "models", "shapes");
                if (File.Exists(Path.Combine(candidate, ModelDirectory.ConfigFile))) return candidate;
            }
        }

        throw new UsageException(
            "There is no models/shapes in the current directory, beside the program, or in a parent of both. Name a model directory with "
            + "--model, or run the command inside the repository.");
    }
}
