using System.IO.Compression;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Xml.Linq;
using Flamingo.Abstractions;
using Flamingo.Cli.Tests.Running;
using Flamingo.Client;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Packages;

/// <summary>What is in the packages of the libraries, and that a program outside the repository can use them.</summary>
public sealed class PackageTests(PackedLibraries packed)
{
    /// <summary>What a program that references a package gets with it.</summary>
    private static readonly Dictionary<string, string[]> Dependencies = new()
    {
        ["Flamingo.Abstractions"] = [],
        ["Flamingo.Protos"] = ["Google.Api.CommonProtos", "Google.Protobuf", "Grpc.Core.Api"],
        ["Flamingo.Wire"] = ["Flamingo.Abstractions", "Flamingo.Protos", "Google.Api.CommonProtos", "Grpc.StatusProto"],
        ["Flamingo.Client"] =
        [
            "Flamingo.Wire", "Grpc.Net.Client", "Grpc.Net.Client.Web", "Microsoft.Extensions.AI.Abstractions",
            "Microsoft.Extensions.DependencyInjection", "Microsoft.Extensions.Logging.Abstractions", "Polly.Core",
        ],
    };

    public static TheoryData<string> Names => [.. PackedLibraries.Names];

    [Fact]
    public void Only_the_libraries_and_the_tool_are_packed()
    {
        var projects = new[] { "libs", "services", "cli", "tests", "bench" }
            .SelectMany(room => Directory.EnumerateFiles(RepositoryFiles.Path(room), "*.csproj", SearchOption.AllDirectories))
            .Select(file => (Name: Path.GetFileNameWithoutExtension(file), Xml: XDocument.Load(file)));
        bool Says(XDocument project, string property) =>
            project.Descendants(property).Any(value => value.Value.Equals("true", StringComparison.OrdinalIgnoreCase));
        Assert.Equal(
            PackedLibraries.Names.Order(),
            projects.Where(project => Says(project.Xml, "IsPackable") && !Says(project.Xml, "PackAsTool"))
                .Select(project => project.Name).Order());
        Assert.Equal(PackedLibraries.Names.Order(), Dependencies.Keys.Order());
    }

    [Theory(Timeout = 300_000), MemberData(nameof(Names))]
    public async Task A_package_says_what_it_is_and_brings_only_what_a_client_needs(string name)
    {
        await packed.PackAsync(TestContext.Current.CancellationToken);
        using var package = packed.Open(name);
        string[] metadata = ["[Content_Types].xml", "_rels/.rels", "package/services/metadata/core-properties/nuget.psmdcp"];
        Assert.Equal(
            new[] { $"{name}.nuspec", "README.md", $"lib/net10.0/{name}.dll", $"lib/net10.0/{name}.xml" }.Order(StringComparer.Ordinal),
            package.Entries.Select(entry => entry.FullName).Except(metadata).Order(StringComparer.Ordinal));
        Assert.Equal(File.ReadAllBytes(RepositoryFiles.Path("libs", name, "README.md")), Bytes(package, "README.md"));

        using var nuspec = package.GetEntry($"{name}.nuspec")!.Open();
        var described = XDocument.Load(nuspec).Root!.Elements().Single();
        string Of(string element) => described.Elements().Single(one => one.Name.LocalName == element).Value;
        Assert.Equal((name, packed.Version, "Apache-2.0", "README.md"), (Of("id"), Of("version"), Of("license"), Of("readme")));
        Assert.All(new[] { "authors", "description", "tags" }, element => Assert.NotEmpty(Of(element)));
        Assert.Contains(described.Elements(), one => one.Name.LocalName == "repository" && (string?)one.Attribute("type") == "git");
        var dependencies = described.Descendants().Where(one => one.Name.LocalName == "dependency")
            .ToDictionary(one => (string)one.Attribute("id")!, one => (string)one.Attribute("version")!);
        Assert.Equal(Dependencies[name].Order(), dependencies.Keys.Order());
        Assert.All(
            dependencies.Where(one => one.Key.StartsWith("Flamingo.", StringComparison.Ordinal)),
            one => Assert.Equal(packed.Version, one.Value));
        var documented = XDocument.Load(new MemoryStream(Bytes(package, $"lib/net10.0/{name}.xml")));
        Assert.NotEmpty(documented.Descendants("summary"));
    }

    [Theory(Timeout = 300_000), MemberData(nameof(Names))]
    public async Task The_symbols_are_those_of_the_assembly_and_bring_its_sources(string name)
    {
        await packed.PackAsync(TestContext.Current.CancellationToken);
        using var package = packed.Open(name);
        using var symbols = packed.Open(name, "snupkg");
        using var assembly = new PEReader(new MemoryStream(Bytes(package, $"lib/net10.0/{name}.dll")));
        using var provider = MetadataReaderProvider.FromPortablePdbStream(new MemoryStream(Bytes(symbols, $"lib/net10.0/{name}.pdb")));
        var reader = provider.GetMetadataReader();
        var directory = assembly.ReadDebugDirectory().Single(entry => entry.Type == DebugDirectoryEntryType.CodeView);
        Assert.Equal(
            assembly.ReadCodeViewDebugDirectoryData(directory).Guid, new BlobContentId(reader.DebugMetadataHeader!.Id).Guid);
        Assert.Contains(assembly.ReadDebugDirectory(), entry => entry.Type == DebugDirectoryEntryType.Reproducible);
        var embedded = new Guid("0E8A571B-6926-466E-B4AD-8AB04611F5FE"); // of the specification of portable PDBs
        Assert.Contains(
            reader.CustomDebugInformation.Select(reader.GetCustomDebugInformation), one => reader.GetGuid(one.Kind) == embedded);
        Assert.All(
            reader.Documents.Select(document => reader.GetString(reader.GetDocument(document).Name)),
            file => Assert.StartsWith("/_/", file, StringComparison.Ordinal));
    }

    /// <summary>The same sources in another folder give the same assemblies, symbols and documentation.</summary>
    [Fact(Timeout = 300_000)]
    public async Task A_second_build_in_another_folder_gives_the_same_files()
    {
        await packed.PackAsync(TestContext.Current.CancellationToken);
        var (copy, artifacts) = (packed.Folder("copy"), packed.Folder("artifacts-of-copy"));
        RepositoryFiles.Copy(RepositoryFiles.Root, copy);
        foreach (var name in PackedLibraries.Names) Copy(Path.Combine("libs", name), copy);
        Copy("protos", copy);
        Copy(Path.Combine("libs", "Flamingo.Modeling", "Natives"), copy);
        await packed.BuildAsync(copy, artifacts, "Build", TestContext.Current.CancellationToken);
        foreach (var name in PackedLibraries.Names)
        {
            using var package = packed.Open(name);
            using var symbols = packed.Open(name, "snupkg");
            var built = Path.Combine(artifacts, "bin", name, "release");
            foreach (var (archive, extension) in new[] { (package, "dll"), (package, "xml"), (symbols, "pdb") })
                Assert.True(
                    Bytes(archive, $"lib/net10.0/{name}.{extension}").AsSpan()
                        .SequenceEqual(File.ReadAllBytes(Path.Combine(built, $"{name}.{extension}"))),
                    $"{name}.{extension} differs.");
        }
    }

    /// <summary>The program of the package's README, and the registration, in an empty project outside the repository.</summary>
    [Fact(Timeout = 300_000)]
    public async Task An_empty_project_restores_the_package_from_a_folder_and_asks_a_server()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await packed.PackAsync(TestContext.Current.CancellationToken);
        await using var server = new RunningServer();
        await server.InitializeAsync();
        var folder = packed.Folder("ask");
        await File.WriteAllTextAsync(Path.Combine(folder, "NuGet.config"), $"""
            <configuration>
              <packageSources>
                <clear />
                <add key="packages" value="{packed.Feed}" />
                <add key="nuget.org" value="https://api.nuget.org/v3/index.json" />
              </packageSources>
              <fallbackPackageFolders>
                <add key="restored before" value="{GlobalPackages}" />
              </fallbackPackageFolders>
            </configuration>
            """, cancellation);
        await File.WriteAllTextAsync(Path.Combine(folder, "ask.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <RestorePackagesPath>{packed.Folder("restored")}</RestorePackagesPath>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Flamingo.Client" Version="{packed.Version}" />
              </ItemGroup>
            </Project>
            """, cancellation);
        var readme = await File.ReadAllTextAsync(RepositoryFiles.Path("libs", "Flamingo.Client", "README.md"), cancellation);
        var program = readme.Split("```csharp\n")[1].Split("```")[0];
        await File.WriteAllTextAsync(Path.Combine(folder, "Program.cs"), $$"""
            using Microsoft.Extensions.AI;
            using Microsoft.Extensions.DependencyInjection;
            {{program.Replace("http://localhost:8080", server.Address, StringComparison.Ordinal)}}

            await using var services = new ServiceCollection().AddFlamingoClient("{{server.Address}}").BuildServiceProvider();
            var message = new ChatMessage(ChatRole.User, [new DataContent(Picture("caption-query"), "image/png")]);
            var response = await services.GetRequiredService<IChatClient>().GetResponseAsync(message);
            Console.WriteLine(response.Text);
            """, cancellation);
        (await ProgramRun.RunAsync(
            "dotnet", ["build", "-v", "quiet", "-warnaserror", "-p:NuGetAudit=false"], cancellation, folder)).MustReturn(0);
        var run = (await ProgramRun.RunAsync(
            "dotnet", [Path.Combine(folder, "bin", "Debug", "net10.0", "ask.dll")], cancellation, RepositoryFiles.Root)).MustReturn(0);

        using var client = new FlamingoClient(server.Address);
        byte[] Picture(string name) => File.ReadAllBytes(Examples.Prompt($"{name}.png"));
        var named = await client.CompleteAsync(new Prompt()
            .Picture(Picture("new-word-shot-1")).Text("This is a jano<|endofchunk|>")
            .Picture(Picture("new-word-shot-2")).Text("This is a pilu<|endofchunk|>")
            .Picture(Picture("new-word-query")).Text("This is a"), cancellation: cancellation);
        var captioned = await client.CaptionAsync(Picture("caption-query"), cancellation);
        Assert.Equal([named.Text, captioned.Text], run.Output.Trim('\n').Split('\n'));
        Assert.Contains(captioned.Text.Split(' '), word => word is "circle" or "square" or "triangle" or "star" or "circles" or "squares");
        Assert.Equal(
            PackedLibraries.Names.Select(name => name.ToLowerInvariant()).Order(),
            Directory.EnumerateDirectories(packed.Folder("restored")).Select(Path.GetFileName).Order());
    }

    private static string GlobalPackages => Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    private static byte[] Bytes(ZipArchive archive, string name)
    {
        using var read = new MemoryStream();
        using var entry = archive.GetEntry(name)?.Open() ?? throw new InvalidOperationException($"{name} is not in the package.");
        entry.CopyTo(read);
        return read.ToArray();
    }

    private static void Copy(string folder, string to)
    {
        foreach (var file in Directory.EnumerateFiles(RepositoryFiles.Path(folder), "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(RepositoryFiles.Root, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
