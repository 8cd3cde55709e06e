using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Runtime;

namespace Flamingo.Modeling.Natives;

/// <summary>
/// The libtorch of an existing PyTorch installation, in place of one from NuGet. TorchSharp's own native library needs
/// libtorch.so, libtorch_cpu.so and libc10.so by name alone and reaches CUDA through libtorch's dispatcher, so it is enough
/// to load those of the installation before TorchSharp looks for them. This works on Linux only.
/// </summary>
public static partial class TorchLibraries
{
    /// <summary>Versions whose libraries answered every golden value with this build's TorchSharp (bench/gpu-check.sh).</summary>
    public static readonly IReadOnlyList<string> Proven = ["2.10", "2.11"];

    // In this order: each needs some of those before it. Builds without CUDA lack two of them.
    private static readonly string[] Names =
        ["libc10.so", "libtorch_cpu.so", "libc10_cuda.so", "libtorch_cuda.so", "libtorch.so"];

    private static readonly Lock Once = new();
    private static PyTorchInstallation? _loaded;

    /// <summary>
    /// Loads what <see cref="ModelOptions.TorchLibraries"/> names, once in a process, before the first tensor; does nothing where
    /// it is empty.
    /// </summary>
    /// <exception cref="CheckpointException">There is no such installation, its version is not proven, or it does not load.</exception>
    public static void Load(ModelOptions options)
    {
        if (options.TorchLibraries.Length == 0)
        {
            if (_loaded is null && !HasOwn(AppContext.BaseDirectory) && OperatingSystem.IsLinux())
                throw new CheckpointException(
                    "This build carries no libtorch (TorchBackend=pytorch): " +
                    "set Model:TorchLibraries to the folder of a PyTorch installation, " +
                    "as printed by: python3 -c 'import torch; print(torch.__path__[0])'");
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
                    "Model:TorchLibraries works on Linux alone. Elsewhere leave it empty and use the build's own libtorch.");
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
                        $"Model:TorchLibraries: {path} of PyTorch {installation.Version} does not load: {exception.Message}");
                }
            }

            _loaded = installation;
        }
    }

    /// <summary>The libraries and the version of an installation.</summary>
    /// <param name="directory">site-packages, its torch folder or torch/lib; or an unpacked libtorch.</param>
    /// <exception cref="CheckpointException">The folder holds no installation, or nothing in it tells the version.</exception>
    public static PyTorchInstallation Find(string directory)
    {
        var folder = new[] { "torch/lib", "lib", "" }
            .Select(part => Path.GetFullPath(Path.Combine(directory, part))).FirstOrDefault(HasOwn)
            ?? throw new CheckpointException(
                $"Model:TorchLibraries: there is no libtorch_cpu.so in {Path.GetFullPath(directory)}, its lib or its torch/lib. " +
                "Name the folder that this prints: python3 -c 'import torch; print(torch.__path__[0])'");
        var parent = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(folder))!;
        var (python, plain) = (Path.Combine(parent, "version.py"), Path.Combine(parent, "build-version"));
        var version = File.Exists(python) ? VersionLine().Match(File.ReadAllText(python)).Groups[1].Value
            : File.Exists(plain) ? File.ReadAllText(plain).Trim()
            : "";
        return version.Length > 0
            ? new PyTorchInstallation(folder, version)
            : throw new CheckpointException(
                $"Model:TorchLibraries: neither {python} nor {plain} tells the version of the libraries in {folder}. " +
                "Name a PyTorch installation or an unpacked libtorch.");
    }

    /// <summary>The installation that this process uses; null where it uses the build's own libtorch.</summary>
    public static PyTorchInstallation? Loaded => _loaded;

    /// <exception cref="CheckpointException">Its version is neither proven nor accepted by the operator.</exception>
    public static void Check(PyTorchInstallation installation, string accepted)
    {
        if (Proven.Append(accepted).Contains(installation.MajorMinor)) return;
        throw new CheckpointException(
            $"Model:TorchLibraries: {installation.Folder} is PyTorch {installation.Version}; " +
            $"this build is proven with {string.Join(" and ", Proven)}. " +
            "Install one of those, or run bench/gpu-check.sh with this one and, if it passes, " +
            $"set Model:TorchVersion to {installation.MajorMinor}.");
    }

    private static bool HasOwn(string folder) => File.Exists(Path.Combine(folder, "libtorch_cpu.so"));

    [GeneratedRegex("""^__version__\s*=\s*['"]([^'"]+)['"]""", RegexOptions.Multiline)]
    private static partial Regex VersionLine();
}

/// <param name="Folder">Where libtorch_cpu.so lies.</param>
/// <param name="Version">As the installation tells it, for example 2.10.0+cu130.</param>
public sealed record PyTorchInstallation(string Folder, string Version)
{
    /// <summary>Major and minor version, for example 2.10.</summary>
    public string MajorMinor => string.Join('.', Version.Split('.', '+').Take(2));
}
