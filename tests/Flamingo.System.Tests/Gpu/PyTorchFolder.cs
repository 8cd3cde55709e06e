namespace Flamingo.SystemTests.Gpu;

/// <summary>
/// A folder like a PyTorch installation: version.py, and this build's own libtorch under torch/lib, which is the same library without CUDA.
/// </summary>
internal static class PyTorchFolder
{
    /// <param name="folder">The folder that takes the place of site-packages.</param>
    /// <param name="copy">Whether the libraries are copied, for an image, or linked.</param>
    public static void Make(string folder, bool copy)
    {
        var libraries = Directory.CreateDirectory(Path.Combine(folder, "torch", "lib")).FullName;
        File.WriteAllText(Path.Combine(folder, "torch", "version.py"), "__version__ = '2.10.0+cpu'\n");
        foreach (var file in Directory.EnumerateFiles(AppContext.BaseDirectory).Where(IsTorch))
        {
            var target = Path.Combine(libraries, Path.GetFileName(file));
            if (copy) File.Copy(file, target);
            else File.CreateSymbolicLink(target, file);
        }
    }

    private static bool IsTorch(string path) =>
        Path.GetFileName(path) is "libtorch.so" or "libtorch_cpu.so" or "libc10.so" ||
        Path.GetFileName(path).StartsWith("libgomp", StringComparison.Ordinal);
}
