using System.Diagnostics;
using Flamingo.Testing;

namespace Flamingo.Modeling.Tests.Natives;

/// <summary>Tests the build step that allows TorchSharp's native library to be loaded with older versions of libstdc++.</summary>
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

    /// <summary>The files of a copied checkout have new timestamps, so MSBuild copies the original library again.</summary>
    [Fact]
    public async Task A_copied_checkout_is_built_again_with_a_library_that_loads()
    {
        var folder = Directory.CreateTempSubdirectory("flamingo-natives-").FullName;
        try
        {
            foreach (var file in new[] { "Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props" })
            {
                var import = $"<Project><Import Project=\"{RepositoryFiles.Path(file)}\" /></Project>";
                await File.WriteAllTextAsync(Path.Combine(folder, file), import, Cancellation);
            }

            await File.WriteAllTextAsync(Path.Combine(folder, "Uses.csproj"), Project, Cancellation);

            await BuildAsync(folder);
            var built = Directory.GetFiles(Path.Combine(folder, "artifacts", "bin"), Library, SearchOption.AllDirectories).Single();
            var weakened = await File.ReadAllBytesAsync(built, Cancellation);
            var original = await File.ReadAllBytesAsync(Original(), Cancellation);
            Assert.Equal(original.Length, weakened.Length);
            // only the weak flag of one version differs
            Assert.Single(Enumerable.Range(0, original.Length), at => original[at] != weakened[at]);

            File.SetLastWriteTimeUtc(built, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
            await BuildAsync(folder);
            Assert.Equal(weakened, await File.ReadAllBytesAsync(built, Cancellation));
            // the library in the NuGet cache, to which the output may have been a hard link
            Assert.Equal(original, await File.ReadAllBytesAsync(Original(), Cancellation));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Original()
    {
        var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        return Directory.GetFiles(Path.Combine(packages, "torchsharp"), Library, SearchOption.AllDirectories).Single();
    }

    private static async Task BuildAsync(string folder)
    {
        string[] arguments = ["build", "-m:1", $"-p:ArtifactsPath={Path.Combine(folder, "artifacts")}", "--disable-build-servers"];
        var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true };
        using var build = Process.Start(start)!;
        var output = await build.StandardOutput.ReadToEndAsync(Cancellation);
        await build.WaitForExitAsync(Cancellation);
        Assert.True(build.ExitCode == 0, output);
    }
}
