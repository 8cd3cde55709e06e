using Flamingo.Testing;

namespace Flamingo.Browser.Tests.Driving;

/// <summary>Programs of this machine that tests start.</summary>
internal static class Programs
{
    private static string Configuration => new DirectoryInfo(AppContext.BaseDirectory).Name; // debug or release

    public static string Dotnet =>
        Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? Environment.ProcessPath! : "dotnet";

    /// <summary>The path of a program. Without it, a test is skipped on a developer's machine and fails in CI.</summary>
    public static string Require(string program)
    {
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
        if (path is null && !BrowserFixture.IsCi) Assert.Skip($"This test needs {program}.");
        return path ?? throw new InvalidOperationException($"CI needs {program}.");
    }

    /// <summary>Runs the command line that is built, in the repository's root, and returns what it prints.</summary>
    public static async Task<string> FlamingoAsync(CancellationToken cancellation, params string[] arguments)
    {
        var program = RepositoryFiles.Path("artifacts", "bin", "Flamingo.Cli", Configuration, "flamingo.dll");
        var run = await ProgramRun.RunAsync(Dotnet, [program, .. arguments], cancellation, RepositoryFiles.Root);
        return run.MustReturn(0).Output.Trim();
    }

    /// <summary>Compiles programs of C# that use the client, all at once, and returns the paths of their assemblies.</summary>
    /// <param name="folder">An empty folder outside of the repository.</param>
    public static async Task<IReadOnlyList<string>> CompileAsync(
        string folder, IReadOnlyList<string> programs, CancellationToken cancellation)
    {
        var project = $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework><ImplicitUsings>enable</ImplicitUsings>
              </PropertyGroup>
              <ItemGroup>
                <ProjectReference Include="{RepositoryFiles.Path("libs", "Flamingo.Client", "Flamingo.Client.csproj")}" />
              </ItemGroup>
            </Project>
            """;
        for (var index = 0; index < programs.Count; index++)
        {
            var own = Directory.CreateDirectory(Path.Combine(folder, $"ask{index}")).FullName;
            await File.WriteAllTextAsync(Path.Combine(own, $"ask{index}.csproj"), project, cancellation);
            await File.WriteAllTextAsync(Path.Combine(own, "Program.cs"), programs[index], cancellation);
        }

        // One build of all, because most of the time of a build is its start.
        await File.WriteAllTextAsync(Path.Combine(folder, "all.proj"), $"""
            <Project DefaultTargets="Build">
              <ItemGroup><All Include="$(MSBuildThisFileDirectory)ask*/*.csproj" /></ItemGroup>
              <Target Name="Restore"><MSBuild Projects="@(All)" Targets="Restore" Properties="Phase=restore" /></Target>
              <Target Name="Build"><MSBuild Projects="@(All)" Targets="Build" BuildInParallel="true" /></Target>
            </Project>
            """, cancellation);
        (await ProgramRun.RunAsync(Dotnet,
            [
                "build", "-v", "quiet", "-c", Configuration, "-p:BuildProjectReferences=false", "-warnaserror",
                Path.Combine(folder, "all.proj"),
            ], cancellation)).MustReturn(0);
        return [.. programs.Select((_, index) => Path.Combine(folder, $"ask{index}", "bin", Configuration, "net10.0", $"ask{index}.dll"))];
    }
}
