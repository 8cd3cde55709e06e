using System.Xml.Linq;
using Flamingo.Testing;

namespace Flamingo.SystemTests.House;

/// <summary>Rules of the repository that a file listing can check.</summary>
public sealed class HabitsTests
{
    private static readonly string[] HomelessNames = ["Common", "Shared", "Utils", "Helpers", "Core", "Extensions", "Manager"];

    // Generated code needs no tests. The other projects are covered by the tests of the projects that reference them, and GpuCheck by
    // tests of its program in this project.
    private static readonly string[] WithoutTestsOfTheirOwn =
        ["Flamingo.Protos", "Flamingo.ServiceDefaults", "Flamingo.Bench.Peers", "Flamingo.GpuCheck"];

    private static string[] Sources { get; } =
        [.. new[] { "libs", "services", "cli", "tests", "bench", "samples" }
            .Select(room => RepositoryFiles.Path(room)).Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories))];

    [Fact]
    public void The_solution_holds_every_project()
    {
        var listed = XDocument.Load(RepositoryFiles.Path("Flamingo.slnx")).Descendants("Project")
            .Select(project => RepositoryFiles.Path((string)project.Attribute("Path")!));
        Assert.Equal(Project.All.Values.Select(project => project.File).Order(), listed.Order());
    }

    [Fact]
    public void No_folder_is_a_drawer_for_everything()
    {
        var folders = Sources.SelectMany(file => Path.GetRelativePath(RepositoryFiles.Root, file).Split(Path.DirectorySeparatorChar)[..^1])
            .Distinct();
        Assert.Empty(folders.Intersect(HomelessNames, StringComparer.OrdinalIgnoreCase));
    }

    [Fact]
    public void No_source_file_is_longer_than_400_lines() =>
        Assert.Empty(Sources.Where(file => File.ReadLines(file).Count() > 400)
            .Select(file => Path.GetRelativePath(RepositoryFiles.Root, file)));

    [Fact]
    public void No_line_of_code_is_longer_than_140_columns() =>
        Assert.Empty(Sources.SelectMany(file => File.ReadLines(file).Index()
            .Where(line => line.Item.Length > 140)
            .Select(line => $"{Path.GetRelativePath(RepositoryFiles.Root, file)}:{line.Index + 1}")));

    [Fact]
    public void A_sample_is_a_page_of_code() =>
        Assert.All(Sources.Where(file => file.StartsWith(RepositoryFiles.Path("samples"), StringComparison.Ordinal)), file =>
        {
            var isWorld = file.StartsWith(RepositoryFiles.Path("samples", "shapes-world"), StringComparison.Ordinal); // several pages
            if (!isWorld) Assert.Equal("Program.cs", Path.GetFileName(file));
            Assert.InRange(File.ReadLines(file).Count(), 1, isWorld ? 200 : 100);
        });

    [Fact]
    public void A_host_is_a_table_of_contents() =>
        Assert.All(Sources.Where(file => file.EndsWith("/Host/Program.cs", StringComparison.Ordinal)),
            file => Assert.InRange(File.ReadLines(file).Count(), 1, 25));

    [Fact]
    public void A_test_project_mirrors_a_room()
    {
        // these two test the whole stack
        var tests = Project.All.Values.Where(project => project.Name.EndsWith(".Tests", StringComparison.Ordinal)
            && project.Name is not ("Flamingo.System.Tests" or "Flamingo.Browser.Tests")).ToList();
        foreach (var test in tests)
        {
            var room = test.Name[..^".Tests".Length];
            Assert.Contains(room, Project.All.Keys);
            Assert.Contains(room, test.References);
        }

        var rooms = Project.All.Values.Where(project => !project.File.StartsWith(RepositoryFiles.Path("tests"), StringComparison.Ordinal));
        var untested = rooms.Select(project => project.Name)
            .Where(name => !name.EndsWith(".Host", StringComparison.Ordinal)) // hosts are tested as processes in this project
            .Where(name => !Project.All[name].IsIn("samples")) // DocumentBlockTests runs them by the commands of their READMEs
            .Except(tests.Select(test => test.Name[..^".Tests".Length])).Except(WithoutTestsOfTheirOwn);
        Assert.Empty(untested);
    }
}
