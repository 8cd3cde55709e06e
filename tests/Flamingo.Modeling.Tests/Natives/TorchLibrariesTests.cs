using Flamingo.Checkpoints;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Natives;
using Flamingo.Modeling.Runtime;

namespace Flamingo.Modeling.Tests.Natives;

/// <summary>
/// Tests which PyTorch installations are accepted. The test of the packaged gpu-check, whose process has no libtorch of its own,
/// shows that an accepted installation can be loaded and computes.
/// </summary>
public sealed class TorchLibrariesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-torch-").FullName;

    [Theory]
    [InlineData("")]
    [InlineData("torch")]
    [InlineData("torch/lib")]
    public void An_installation_is_found_by_any_of_its_folders(string part)
    {
        Install("2.10.0+cu130");
        var found = TorchLibraries.Find(Path.Combine(_folder, part));
        Assert.Equal((Path.Combine(_folder, "torch", "lib"), "2.10.0+cu130", "2.10"), (found.Folder, found.Version, found.MajorMinor));
    }

    [Fact]
    public void An_unpacked_libtorch_is_one_too()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "lib"));
        File.WriteAllText(Path.Combine(_folder, "lib", "libtorch_cpu.so"), "");
        File.WriteAllText(Path.Combine(_folder, "build-version"), "2.10.0+cpu\n");
        Assert.Equal("2.10", TorchLibraries.Find(_folder).MajorMinor);
    }

    [Fact]
    public void A_folder_without_libtorch_says_how_to_find_one()
    {
        var refused = Assert.Throws<CheckpointException>(() => TorchLibraries.Find(_folder));
        Assert.Contains(_folder, refused.Message, StringComparison.Ordinal);
        Assert.Contains("python3 -c", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Libraries_of_no_known_version_are_refused()
    {
        Install(null);
        var refused = Assert.Throws<CheckpointException>(() => TorchLibraries.Find(_folder));
        Assert.Contains("version", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_version_is_proven_or_accepted_by_name_or_refused_by_name()
    {
        foreach (var version in TorchLibraries.Proven) TorchLibraries.Check(Installation($"{version}.0+cu130"), "");
        foreach (var version in new[] { "2.9.1+cu128", "2.1.0", "2.101.0", "3.10.0" })
        {
            var refused = Assert.Throws<CheckpointException>(() => TorchLibraries.Check(Installation(version), ""));
            foreach (var part in new[] { version, TorchLibraries.Proven[0], "bench/gpu-check.sh", "Model:TorchVersion" })
                Assert.Contains(part, refused.Message, StringComparison.Ordinal);
        }

        TorchLibraries.Check(Installation("2.99.0+cu130"), "2.99");
        Assert.Throws<CheckpointException>(() => TorchLibraries.Check(Installation("2.99.0+cu130"), "2.98"));
    }

    [Fact]
    public void A_build_with_a_libtorch_of_its_own_refuses_another()
    {
        Install("2.10.0");
        var refused = Assert.Throws<CheckpointException>(() => TorchLibraries.Load(new ModelOptions { TorchLibraries = _folder }));
        Assert.Contains("TorchBackend=pytorch", refused.Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static PyTorchInstallation Installation(string version) => new("/opt/torch/lib", version);

    private void Install(string? version)
    {
        Directory.CreateDirectory(Path.Combine(_folder, "torch", "lib"));
        File.WriteAllText(Path.Combine(_folder, "torch", "lib", "libtorch_cpu.so"), "");
        File.WriteAllText(
            Path.Combine(_folder, "torch", "version.py"),
            version is null
                ? "debug = False\n"
                : $"from typing import Optional\n\n__version__ = '{version}'\ndebug = False\n");
    }
}
