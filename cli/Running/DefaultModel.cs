using Flamingo.Checkpoints;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Running;

/// <summary>
/// The model of every command that names none: <c>models/shapes</c>, from the current directory upward, else from the program
/// upward.
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
            "No models/shapes stands in or above the current directory. Name a model directory with --model, or run inside the "
                + "repository.");
    }
}
