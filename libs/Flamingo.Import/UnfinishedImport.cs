using System.Diagnostics;
using System.Globalization;
using Flamingo.Checkpoints;

namespace Flamingo.Import;

/// <summary>
/// The temporary directory of an import. It is beside the output and has another name, so that no process finds an incomplete model.
/// </summary>
internal static class UnfinishedImport
{
    private const string Mark = ".importing-";

    /// <summary>Creates the temporary directory and returns its path.</summary>
    public static string Begin(string output) => Directory.CreateDirectory($"{output}{Mark}{Environment.ProcessId}").FullName;

    /// <summary>Removes the temporary directories of imports into the same output whose process has ended.</summary>
    public static void RemoveAbandoned(string output)
    {
        var parent = Path.GetDirectoryName(output)!;
        if (!Directory.Exists(parent)) return;
        foreach (var folder in Directory.GetDirectories(parent, $"{Path.GetFileName(output)}{Mark}*"))
        {
            if (int.TryParse(folder[(folder.LastIndexOf('-') + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var process)
                && !IsAlive(process)) Directory.Delete(folder, recursive: true);
        }
    }

    /// <exception cref="CheckpointException">The disk has less free space than the weights need.</exception>
    public static void CheckSpace(string folder, long bytes)
    {
        var free = new DriveInfo(folder).AvailableFreeSpace;
        if (free < bytes)
            throw new CheckpointException($"The weights take {bytes / (double)(1 << 30):0.0} GiB and the disk of "
                + $"{Path.GetDirectoryName(folder)} has {free / (double)(1 << 30):0.0} GiB left. Free some space, name another --output, "
                + "or write the weights in a smaller --dtype.");
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
