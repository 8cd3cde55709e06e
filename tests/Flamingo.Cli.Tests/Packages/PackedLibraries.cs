using System.IO.Compression;
using System.Xml.Linq;
using Flamingo.Cli.Tests.Packages;
using Flamingo.Testing;

[assembly: AssemblyFixture(typeof(PackedLibraries))]

namespace Flamingo.Cli.Tests.Packages;

/// <summary>
/// The packages of the libraries, packed once for the tests that ask for them: into a folder feed, with artifacts of their own and under a
/// version that no cache of packages on this machine can hold.
/// </summary>
public sealed class PackedLibraries : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("flamingo-packages-").FullName;
    private readonly Lazy<Task> _packed;

    public PackedLibraries() => _packed = new(() => BuildAsync(RepositoryFiles.Root, Folder("artifacts"), "Pack", CancellationToken.None));

    public static IReadOnlyList<string> Names { get; } =
        ["Flamingo.Abstractions", "Flamingo.Client", "Flamingo.Protos", "Flamingo.Wire"];

    public string Version { get; } = $"0.1.0-test{Guid.NewGuid():N}";

    /// <summary>The folder of the packages.</summary>
    public string Feed => Folder("feed");

    /// <summary>The path of a folder that is deleted with the packages.</summary>
    public string Folder(string name) => Directory.CreateDirectory(Path.Combine(_root, name)).FullName;

    /// <summary>Packs the libraries, if no test did so before.</summary>
    public Task PackAsync(CancellationToken cancellation) => _packed.Value.WaitAsync(cancellation);

    /// <param name="extension">nupkg, or snupkg for the symbols.</param>
    public ZipArchive Open(string name, string extension = "nupkg") =>
        ZipFile.OpenRead(Path.Combine(Feed, $"{name}.{Version}.{extension}"));

    /// <summary>Restores and builds the libraries of a repository's copy.</summary>
    public async Task BuildAsync(string repository, string artifacts, string target, CancellationToken cancellation)
    {
        // one process for all projects, which would take as many times the start of MSBuild one by one
        var libraries = Names.Select(name => new XElement(
            "Library", new XAttribute("Include", Path.Combine(repository, "libs", name, $"{name}.csproj"))));
        XElement Call(string called, string properties) => new("MSBuild",
            new XAttribute("Projects", "@(Library)"), new XAttribute("Targets", called),
            new XAttribute("Properties",
                $"Configuration=Release;Version={Version};ArtifactsPath={artifacts};PackageOutputPath={Feed};SourceRevisionId=0;"
                + $"NuGetAudit=false;{properties}"));
        var all = Path.Combine(artifacts, "all.proj");
        new XElement("Project", new XElement("ItemGroup", libraries),
            new XElement("Target", new XAttribute("Name", "All"), Call("Restore", "IsRestoring=true"), Call(target, ""))).Save(all);
        (await ProgramRun.RunAsync("dotnet", ["msbuild", all, "-t:All", "-v:quiet", "-nologo"], cancellation)).MustReturn(0);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);
}
