using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Flamingo.Bench.Machine;

/// <summary>The disk that models of full size are made on. Linux.</summary>
internal static class Disk
{
    private const long SpareBytes = 1L << 30;
    private const int DontNeed = 4; // POSIX_FADV_DONTNEED

    /// <param name="remedy">What its user can do about it.</param>
    /// <exception cref="IOException">Less is free than that, and a GB that must stay.</exception>
    public static void Require(string folder, long bytes, string what, string remedy)
    {
        var free = new DriveInfo(folder).AvailableFreeSpace;
        if (free < bytes + SpareBytes) throw new IOException($"{folder} has {free / 1e9:0.0} GB free; {what} takes {bytes / 1e9:0.0} GB and 1 GB must stay. {remedy}");
    }

    /// <summary>Writes the files of a folder out and forgets them in the page cache, so that the next reader waits for the disk.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static void Forget(string folder)
    {
        foreach (var path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
            RandomAccess.FlushToDisk(file);
            if (Advise(file, 0, 0, DontNeed) is var error && error != 0) throw new IOException($"posix_fadvise({path}) failed with error {error}.");
        }
    }

    [DllImport("libc", EntryPoint = "posix_fadvise")]
    private static extern int Advise(SafeFileHandle file, long offset, long length, int advice);
}
