using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// MSBuild task: sets VER_FLG_WEAK on one required symbol version of a 64-bit little-endian ELF library.
/// Layout of .gnu.version_r: System V ABI, "Symbol Versioning" (Verneed and Vernaux records).
/// </summary>
public class WeakenVersionRequirement : Task
{
    private const uint VersionNeeds = 0x6ffffffe;
    private const ushort Weak = 0x2;

    /// <summary>
    /// Path of the library to rewrite. If the path is a hard link, it is replaced by a new file, so the other links do not
    /// change.
    /// </summary>
    public string Library { get; set; }

    /// <summary>The version whose requirement becomes weak, for example GLIBCXX_3.4.32.</summary>
    public string Version { get; set; }

    public override bool Execute()
    {
        var bytes = File.ReadAllBytes(Library);
        if (bytes.Length < 64 || BitConverter.ToUInt32(bytes, 0) != 0x464c457f || bytes[4] != 2 || bytes[5] != 1)
        {
            Log.LogWarning("{0} is not a 64-bit little-endian ELF file and was not changed.", Library);
            return true;
        }

        if (!SetWeak(bytes)) return true; // the requirement is already weak, or the library does not have it

        var written = File.GetLastWriteTimeUtc(Library);
        var replacement = Library + ".weakened";
        File.Copy(Library, replacement, overwrite: true); // keeps the mode bits
        File.WriteAllBytes(replacement, bytes);
        File.SetLastWriteTimeUtc(replacement, written);
        File.Delete(Library);
        File.Move(replacement, Library);
        return true;
    }

    private bool SetWeak(byte[] elf)
    {
        var sections = BitConverter.ToInt64(elf, 0x28);
        var sectionSize = BitConverter.ToUInt16(elf, 0x3a);
        var sectionCount = BitConverter.ToUInt16(elf, 0x3c);
        for (var index = 0; index < sectionCount; index++)
        {
            var section = (int)(sections + (long)index * sectionSize);
            if (BitConverter.ToUInt32(elf, section + 4) != VersionNeeds) continue;

            var names = (int)(sections + (long)BitConverter.ToUInt32(elf, section + 0x28) * sectionSize);
            var strings = (int)BitConverter.ToInt64(elf, names + 0x18);
            var need = (int)BitConverter.ToInt64(elf, section + 0x18);
            while (true)
            {
                var entry = need + (int)BitConverter.ToUInt32(elf, need + 8);
                for (var count = BitConverter.ToUInt16(elf, need + 2); count > 0; count--)
                {
                    if (Name(elf, strings + (int)BitConverter.ToUInt32(elf, entry + 8)) == Version)
                    {
                        var flags = BitConverter.ToUInt16(elf, entry + 4);
                        if ((flags & Weak) != 0) return false;
                        BitConverter.GetBytes((ushort)(flags | Weak)).CopyTo(elf, entry + 4);
                        return true;
                    }

                    entry += (int)BitConverter.ToUInt32(elf, entry + 12);
                }

                var next = BitConverter.ToUInt32(elf, need + 12);
                if (next == 0) return false;
                need += (int)next;
            }
        }

        return false;
    }

    private static string Name(byte[] elf, int at)
    {
        return Encoding.ASCII.GetString(elf, at, Array.IndexOf(elf, (byte)0, at) - at);
    }
}
