using System.Xml.Linq;
using Flamingo.SystemTests.Documentation;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Samples;

/// <summary>
/// Every sample runs by the commands of its README, against a server that its README starts, and prints what the README shows.
/// </summary>
public sealed class SamplesTests
{
    public static TheoryData<string> Samples => [.. DocumentBlock.Samples];

    [Theory(Timeout = 300_000), MemberData(nameof(Samples))]
    public async Task A_sample_does_what_its_README_says(string document)
    {
        if (Missing(document) is { } missing)
        {
            Assert.True(Environment.GetEnvironmentVariable("CI") != "true", $"CI needs {missing}.");
            Assert.Skip($"The commands of this page need {missing}.");
        }

        await using var session = new DocumentSession();
        await session.RunAsync(document, TestContext.Current.CancellationToken);
    }

    [Fact]
    public void Every_sample_starts_a_server_shows_its_output_and_is_on_the_overview()
    {
        var overview = File.ReadAllText(RepositoryFiles.Path("samples", "README.md"));
        Assert.All(DocumentBlock.Samples.Skip(1), document =>
        {
            Assert.Contains($"]({document["samples/".Length..]})", overview, StringComparison.Ordinal);
            var blocks = DocumentBlock.Of(document).Where(block => block.NotRun is null).ToList();
            var served = blocks.FindIndex(block => block.Text.Contains("-- serve", StringComparison.Ordinal));
            Assert.True(served >= 0, $"{document}: no block starts a server.");
            Assert.Contains(blocks.Skip(served), block => block.IsOutput);
        });
    }

    [Fact]
    public void The_README_of_a_C_sharp_sample_says_which_line_becomes_that_of_the_package()
    {
        var version = XDocument.Load(RepositoryFiles.Path("Directory.Build.props")).Descendants("Version").Single().Value;
        var projects = Directory.GetFiles(RepositoryFiles.Path("samples"), "*.csproj", SearchOption.AllDirectories)
            .Where(project => Path.GetFileName(project) != "ShapesWorld.csproj").ToList(); // it does not use the client
        Assert.NotEmpty(projects);
        Assert.All(projects, project =>
        {
            const string Ours = """    <ProjectReference Include="../../libs/Flamingo.Client/Flamingo.Client.csproj" />""";
            Assert.Single(File.ReadLines(project), Ours);
            var folder = Path.GetFileName(Path.GetDirectoryName(project));
            var printed = DocumentBlock.Of($"samples/{folder}/README.md").Single(block => block.Language == "xml").Text;
            Assert.Equal($"""<PackageReference Include="Flamingo.Client" Version="{version}" />""", printed);
        });
    }

    // What a page's commands need besides .NET and a shell, where this machine does not have it.
    private static string? Missing(string document) => document switch
    {
        "samples/python-grpc/README.md" when !PythonClient.IsInstalled => PythonClient.Packages,
        "samples/python-openai/README.md" when ProgramRun.Find("python3") is null || ProgramRun.Find("curl") is null => "python3 and curl",
        "samples/node-openai/README.md" when ProgramRun.Find("npm") is null => "Node.js 22 or newer and npm",
        _ => null,
    };
}
