using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Flamingo.Bench.Machine;

/// <summary>The disk on which full-size models are written. Works only on Linux.</summary>
public static class Disk
{
    private const long SpareBytes = 1L << 30;
    private const int DontNeed = 4; // POSIX_FADV_DONTNEED

    /// <param name="remedy">The remedy for the user, as a sentence of the error message.</param>
    /// <exception cref="IOException">Less than these bytes and a reserve of 1 GB are free.</exception>
    public static void Require(string folder, long bytes, string what, string remedy)
    {
        var free = new DriveInfo(folder).AvailableFreeSpace;
        if (free < bytes + SpareBytes)
            throw new IOException($"{folder} has {free / 1e9:0.0} GB free; {what} takes {bytes / 1e9:0.0} GB and 1 GB must remain free. "
                + $"{remedy}");
    }

    /// <summary>Flushes the files of a folder and drops them from the page cache, so that the next reader reads from the disk.</summary>
    /// <exception cref="IOException">The system call failed.</exception>
    public static void Forget(string folder)
    {
        foreach (var path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
            RandomAccess.FlushToDisk(file);
            if (Advise(file, 0, 0, DontNeed) is var error && error != 0)
                throw new IOException($"posix_fadvise({path}) failed with error {error}.");
        }
    }

    [DllImport("libc", EntryPoint = "posix_fadvise")]
    private static extern int Advise(SafeFileHandle file, long offset, long length, int advice);
}
