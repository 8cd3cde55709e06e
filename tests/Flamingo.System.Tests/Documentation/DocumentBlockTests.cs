using System.Text.Json;
using System.Text.RegularExpressions;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Documentation;

/// <summary>
/// README.md and docs: every block runs as printed or says why it does not, every link leads somewhere, and the README is short.
/// </summary>
public sealed partial class DocumentBlockTests
{
    public static TheoryData<string> Documents => [.. DocumentBlock.Documents];

    public static TheoryData<string> DocumentsAndSamples => [.. DocumentBlock.Documents, .. DocumentBlock.Samples];

    [Theory(Timeout = 600_000), MemberData(nameof(Documents))]
    public async Task Every_block_runs_as_printed_or_says_why_it_does_not(string document)
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var session = new DocumentSession();
        await session.RunAsync(document, cancellation);
    }

    [Fact]
    public void The_README_is_a_newcomers_page()
    {
        var lines = File.ReadAllLines(RepositoryFiles.Path("README.md"));
        Assert.InRange(lines.Length, 50, 200);
        Assert.InRange(lines.Sum(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length), 500, 2000);
    }

    [Theory, MemberData(nameof(DocumentsAndSamples))]
    public void Every_relative_link_leads_somewhere(string document)
    {
        var file = RepositoryFiles.Path(document);
        var prose = string.Join('\n', WithoutBlocks(File.ReadAllLines(file)));
        foreach (Match match in Link().Matches(prose))
        {
            var link = match.Groups[1].Success ? match.Groups[1].Value : match.Groups[2].Value;
            if (link.Contains("://", StringComparison.Ordinal)) continue;
            var (path, heading) = link.Split('#') is [var one, var two] ? (one, two) : (link, null);
            var target = path.Length == 0 ? file : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, path));
            Assert.True(Path.Exists(target), $"{document}: {link} leads nowhere.");
            if (heading is not null)
                Assert.True(Headings(target).Contains(heading), $"{document}: {link} names no heading of {path}.");
        }
    }

    [Fact]
    public void A_block_knows_its_language_its_mark_and_its_text()
    {
        var blocks = DocumentBlock.Parse("a.md",
            ["# a", "<!-- not run: no card here -->", "```bash", "one", "two", "```", "```text", "```"]);
        Assert.Equal(new DocumentBlock("a.md", 3, "bash", "one\ntwo", "not run: no card here"), blocks[0]);
        Assert.Equal("no card here", blocks[0].NotRun);
        Assert.Equal(new DocumentBlock("a.md", 7, "text", "", null), blocks[1]);
        Assert.Null((blocks[0] with { Mark = "not run: " }).NotRun); // a mark without a reason does not count
        Assert.True((blocks[1] with { Mark = "prints" }).IsOutput);
        var timed = blocks[1] with { Mark = "prints, except: [0-9]+ ms" };
        Assert.True(timed.IsOutput);
        Assert.Equal("[0-9]+ ms", timed.Except);
    }

    [Fact]
    public async Task A_block_that_fails_is_told_with_its_place_and_so_is_one_that_cannot_run_here()
    {
        await using var session = new DocumentSession();
        foreach (var text in new[] { "false | cat", "dotnet run --project cli -- generate --no-such-option", "dotnet test" })
        {
            var block = new DocumentBlock("a.md", 7, "bash", text, null);
            var failure = await Assert.ThrowsAsync<InvalidOperationException>(
                () => session.RunCommandsAsync(block, TestContext.Current.CancellationToken));
            Assert.StartsWith("a.md:7 ended with ", failure.Message, StringComparison.Ordinal);
        }
    }

    private static IEnumerable<string> WithoutBlocks(IEnumerable<string> lines)
    {
        var isInside = false;
        foreach (var line in lines)
        {
            if (line.StartsWith("```", StringComparison.Ordinal)) isInside = !isInside;
            else if (!isInside) yield return line;
        }
    }

    // GitHub's anchors are lower case, without punctuation, and with hyphens for spaces.
    private static HashSet<string> Headings(string file) =>
    [
        .. WithoutBlocks(File.ReadAllLines(file)).Where(line => line.StartsWith('#'))
            .Select(line => Punctuation().Replace(line.TrimStart('#').Trim().ToLowerInvariant(), "").Replace(' ', '-')),
    ];

    [GeneratedRegex(@"\]\(([^)\s]+)\)|src=""([^""]+)""")]
    private static partial Regex Link();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex Punctuation();
}
