using System.Runtime.InteropServices;

namespace Flamingo.Modeling.Runtime;

/// <summary>How torch's threads wait for each other between operations.</summary>
public static partial class WaitingThreads
{
    private const string Policy = "OMP_WAIT_POLICY";

    /// <summary>
    /// Makes them sleep while they wait, unless the user chose otherwise. OpenMP reads its variable when its library is loaded, so this
    /// must come before the first tensor. A variable that is set through .NET reaches no native library, so the C library is called.
    /// </summary>
    public static void Sleep()
    {
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable(Policy) is null) _ = SetVariable(Policy, "passive", 0);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
