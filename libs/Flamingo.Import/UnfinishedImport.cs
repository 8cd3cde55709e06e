using System.Diagnostics;
using System.Globalization;
using Flamingo.Checkpoints;

namespace Flamingo.Import;

/// <summary>
/// The directory that an import works in, beside its output and under another name, so that no half a model is ever found.
/// </summary>
internal static class UnfinishedImport
{
    private const string Mark = ".importing-";

    public static string Begin(string output) => Directory.CreateDirectory($"{output}{Mark}{Environment.ProcessId}").FullName;

    /// <summary>Removes what imports into the same output left when they were killed.</summary>
    public static void RemoveAbandoned(string output)
    {
        var parent = Path.GetDirectoryName(output)!;
        if (!Directory.Exists(parent)) return;
        foreach (var folder in Directory.GetDirectories(parent, $"{Path.GetFileName(output)}{Mark}*"))
        {
            if (int.TryParse(folder[(folder.LastIndexOf('-') + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var process)
                && !IsAlive(process))
                Directory.Delete(folder, recursive: true);
        }
    }

    /// <exception cref="CheckpointException">The disk has less room than the weights need.</exception>
    public static void CheckSpace(string folder, long bytes)
    {
        var free = new DriveInfo(folder).AvailableFreeSpace;
        if (free < bytes)
            throw new CheckpointException($"The weights take {bytes / (double)(1 << 30):0.0} GiB and the disk of "
                + $"{Path.GetDirectoryName(folder)} has {free / (double)(1 << 30):0.0} GiB left. Make room, name another --output, or "
                    + $"write them in a smaller --dtype.");
    }

    private static bool IsAlive(int process)
    {
        if (process == Environment.ProcessId) return true;
        try
        {
            using var found = Process.GetProcessById(process);
            return !found.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
