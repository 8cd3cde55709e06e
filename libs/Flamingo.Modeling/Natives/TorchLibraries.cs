using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Runtime;

namespace Flamingo.Modeling.Natives;

/// <summary>
/// Loads the libtorch of an existing PyTorch installation, in place of one from NuGet. TorchSharp's native library refers to
/// libtorch.so, libtorch_cpu.so and libc10.so only by name, and uses CUDA through libtorch's dispatcher. It is therefore enough
/// to load the libraries of the installation before TorchSharp does. This works only on Linux.
/// </summary>
public static partial class TorchLibraries
{
    /// <summary>Versions whose libraries reproduced every golden value with this build's TorchSharp (bench/gpu-check.sh).</summary>
    public static readonly IReadOnlyList<string> Proven = ["2.10", "2.11"];

    // Libraries in the order of loading, because each needs some of the earlier ones. Builds without CUDA lack two of them.
    private static readonly string[] Names =
        ["libc10.so", "libtorch_cpu.so", "libc10_cuda.so", "libtorch_cuda.so", "libtorch.so"];

    private static readonly Lock Once = new();
    private static PyTorchInstallation? _loaded;

    /// <summary>
    /// Loads the libraries in the folder <see cref="ModelOptions.TorchLibraries"/>, once per process and before the first tensor
    /// is created. It does nothing if the option is empty.
    /// </summary>
    /// <exception cref="CheckpointException">There is no such installation, its version is not in <see cref="Proven"/>, or a
    /// library cannot be loaded.</exception>
    public static void Load(ModelOptions options)
    {
        if (options.TorchLibraries.Length == 0)
        {
            if (_loaded is null && !HasOwn(AppContext.BaseDirectory) && OperatingSystem.IsLinux())
                throw new CheckpointException(
                    "This build contains no libtorch (TorchBackend=pytorch). Set Model:TorchLibraries to the folder of a PyTorch "
                    + "installation, which this command prints: python3 -c 'import torch; print(torch.__path__[0])'");
            return;
        }

        var installation = Find(options.TorchLibraries);
        Check(installation, options.TorchVersion);
        lock (Once)
        {
            if (_loaded is { } loaded)
            {
                if (loaded == installation) return;
                throw new CheckpointException(
                    $"Model:TorchLibraries is {installation.Folder}, but this process has loaded {loaded.Folder} already. " +
                    "One process uses one libtorch.");
            }

            if (!OperatingSystem.IsLinux())
                throw new CheckpointException(
                    "Model:TorchLibraries works only on Linux. Elsewhere leave it empty and use the build's own libtorch.");
            if (HasOwn(AppContext.BaseDirectory))
                throw new CheckpointException(
                    $"Model:TorchLibraries is set, but this build has a libtorch of its own in {AppContext.BaseDirectory}, " +
                    "and one process cannot hold two. Build with -p:TorchBackend=pytorch.");
            foreach (var path in Names.Select(name => Path.Combine(installation.Folder, name)).Where(File.Exists))
            {
                try
                {
                    NativeLibrary.Load(path);
                }
                catch (DllNotFoundException exception)
                {
                    throw new CheckpointException(
                        $"Model:TorchLibraries: {path} of PyTorch {installation.Version} cannot be loaded: {exception.Message}");
                }
            }

            _loaded = installation;
        }
    }

    /// <summary>Finds the libraries and the version of an installation.</summary>
    /// <param name="directory">The folder site-packages, its folder torch or torch/lib, or an unpacked libtorch.</param>
    /// <exception cref="CheckpointException">The folder contains no installation, or no file in it states the version.</exception>
    public static PyTorchInstallation Find(string directory)
    {
        var folder = new[] { "torch/lib", "lib", "" }
            .Select(part => Path.GetFullPath(Path.Combine(directory, part))).FirstOrDefault(HasOwn)
            ?? throw new CheckpointException(
                $"Model:TorchLibraries: there is no libtorch_cpu.so in {Path.GetFullPath(directory)}, its lib or its torch/lib. " +
                "Set it to the folder that this command prints: python3 -c 'import torch; print(torch.__path__[0])'");
        var parent = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(folder))!;
        var (python, plain) = (Path.Combine(parent, "version.py"), Path.Combine(parent, "build-version"));
        var version = File.Exists(python) ? VersionLine().Match(File.ReadAllText(python)).Groups[1].Value
            : File.Exists(plain) ? File.ReadAllText(plain).Trim()
            : "";
        return version.Length > 0
            ? new PyTorchInstallation(folder, version)
            : throw new CheckpointException(
                $"Model:TorchLibraries: neither {python} nor {plain} states the version of the libraries in {folder}. Set it to a "
                + "PyTorch installation or an unpacked libtorch.");
    }

    /// <summary>The installation that this process uses; null if it uses the build's own libtorch.</summary>
    public static PyTorchInstallation? Loaded => _loaded;

    /// <exception cref="CheckpointException">The version is neither in <see cref="Proven"/> nor accepted by the operator.</exception>
    public static void Check(PyTorchInstallation installation, string accepted)
    {
        if (Proven.Append(accepted).Contains(installation.MajorMinor)) return;
        throw new CheckpointException(
            $"Model:TorchLibraries: {installation.Folder} is PyTorch {installation.Version}; this build has been tested with "
            + $"{string.Join(" and ", Proven)}. " +
            "Install one of those versions, or run bench/gpu-check.sh with this installation and, if it passes, " +
            $"set Model:TorchVersion to {installation.MajorMinor}.");
    }

    private static bool HasOwn(string folder) => File.Exists(Path.Combine(folder, "libtorch_cpu.so"));

    [GeneratedRegex("""^__version__\s*=\s*['"]([^'"]+)['"]""", RegexOptions.Multiline)]
    private static partial Regex VersionLine();
}

/// <summary>An existing PyTorch installation.</summary>
/// <param name="Folder">Folder that contains libtorch_cpu.so.</param>
/// <param name="Version">Version as the installation states it, for example 2.10.0+cu130.</param>
public sealed record PyTorchInstallation(string Folder, string Version)
{
    /// <summary>Major and minor version, for example 2.10.</summary>
    public string MajorMinor => string.Join('.', Version.Split('.', '+').Take(2));
}
