using System.Diagnostics;
using Flamingo.Testing;

namespace Flamingo.Modeling.Tests.Natives;

/// <summary>The build step that makes TorchSharp's native library load with older versions of libstdc++.</summary>
public sealed class WeakenVersionRequirementTests
{
    private const string Library = "libLibTorchSharp.so";

    private const string Project = """
        <Project Sdk="Microsoft.NET.Sdk">
          <PropertyGroup><CopyLocalLockFileAssemblies>true</CopyLocalLockFileAssemblies></PropertyGroup>
          <ItemGroup><PackageReference Include="TorchSharp" /></ItemGroup>
        </Project>
        """;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Files of a copied checkout have new times, for which MSBuild copies the original library once more.</summary>
    [Fact]
    public async Task A_copied_checkout_is_built_again_with_a_library_that_loads()
    {
        var folder = Directory.CreateTempSubdirectory("flamingo-natives-").FullName;
        try
        {
            foreach (var file in new[] { "Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props" })
                await File.WriteAllTextAsync(Path.Combine(folder, file), $"<Project><Import Project=\"{RepositoryFiles.Path(file)}\" /></Project>", Cancellation);
            await File.WriteAllTextAsync(Path.Combine(folder, "Uses.csproj"), Project, Cancellation);

            await BuildAsync(folder);
            var built = Directory.GetFiles(Path.Combine(folder, "artifacts", "bin"), Library, SearchOption.AllDirectories).Single();
            var (weakened, original) = (await File.ReadAllBytesAsync(built, Cancellation), await File.ReadAllBytesAsync(Original(), Cancellation));
            Assert.Equal(original.Length, weakened.Length);
            Assert.Single(Enumerable.Range(0, original.Length), at => original[at] != weakened[at]); // the weak flag of one version

            File.SetLastWriteTimeUtc(built, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
            await BuildAsync(folder);
            Assert.Equal(weakened, await File.ReadAllBytesAsync(built, Cancellation));
            Assert.Equal(original, await File.ReadAllBytesAsync(Original(), Cancellation)); // NuGet's own, which the output may have been linked to
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Original()
    {
        var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        return Directory.GetFiles(Path.Combine(packages, "torchsharp"), Library, SearchOption.AllDirectories).Single();
    }

    private static async Task BuildAsync(string folder)
    {
        using var build = Process.Start(new ProcessStartInfo("dotnet", ["build", "-m:1", $"-p:ArtifactsPath={Path.Combine(folder, "artifacts")}", "--disable-build-servers"]) { WorkingDirectory = folder, RedirectStandardOutput = true })!;
        var output = await build.StandardOutput.ReadToEndAsync(Cancellation);
        await build.WaitForExitAsync(Cancellation);
        Assert.True(build.ExitCode == 0, output);
    }
}
