using System.Runtime.InteropServices;

namespace Flamingo.Testing.Certificates;

/// <summary>A folder of PEM files as Kubernetes mounts a secret: the files are links into a folder that one rename exchanges.</summary>
public sealed class MountedSecret : IDisposable
{
    private const string Current = "..data";

    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-secret").FullName;
    private int _version;

    /// <summary>Path of a file of the secret, whether it exists yet or not.</summary>
    public string this[string name] => Path.Combine(_folder, name);

    public string CertificateFile => this["tls.crt"];

    public string KeyFile => this["tls.key"];

    public string CaFile => this["ca.crt"];

    /// <summary>Replaces all files at once.</summary>
    public MountedSecret Put(TestCertificate own, string authorities) =>
        Put(("tls.crt", own.Chain), ("tls.key", own.Key), ("ca.crt", authorities));

    /// <summary>Replaces all files at once.</summary>
    public MountedSecret Put(params (string Name, string Text)[] files)
    {
        var version = $"..{++_version}";
        Directory.CreateDirectory(this[version]);
        foreach (var (name, text) in files)
        {
            File.WriteAllText(Path.Combine(this[version], name), text);
            if (!File.Exists(this[name])) File.CreateSymbolicLink(this[name], Path.Combine(Current, name));
        }

        File.CreateSymbolicLink(this["..next"], version);
        // File.Move does not take a link to a folder.
        if (Rename(this["..next"], this[Current]) != 0) throw new IOException($"rename: errno {Marshal.GetLastPInvokeError()}");
        return this;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [DllImport("libc", EntryPoint = "rename", SetLastError = true)]
    private static extern int Rename(
        [MarshalAs(UnmanagedType.LPUTF8Str)] string from, [MarshalAs(UnmanagedType.LPUTF8Str)] string to);
}
