using System.Text.RegularExpressions;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Documentation;

/// <summary>A fenced block of README.md, of a page in docs, or of a sample's README.</summary>
/// <param name="Document">Path below the repository's root.</param>
/// <param name="Line">The line of the opening fence, from 1.</param>
/// <param name="Language">The word after the opening fence; empty if there is none.</param>
/// <param name="Mark">The HTML comment on the line before the block, without its brackets; null if there is none.</param>
internal sealed partial record DocumentBlock(string Document, int Line, string Language, string Text, string? Mark)
{
    public static IReadOnlyList<string> Documents { get; } =
    [
        "README.md",
        .. Directory.GetFiles(RepositoryFiles.Path("docs"), "*.md").Select(file => $"docs/{Path.GetFileName(file)}")
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>The READMEs of the samples, and the page that lists them.</summary>
    public static IReadOnlyList<string> Samples { get; } =
    [
        "samples/README.md",
        .. Directory.GetDirectories(RepositoryFiles.Path("samples")).Select(folder => Path.GetFileName(folder))
            .Where(name => name != "pictures").Order(StringComparer.Ordinal).Select(name => $"samples/{name}/README.md"),
    ];

    /// <summary>The reason why the block is not run: <c>&lt;!-- not run: why --&gt;</c>.</summary>
    public string? NotRun => MarkOf("not run: ");

    /// <summary>Why a program is compiled and not run: <c>&lt;!-- compiled, not run: why --&gt;</c>.</summary>
    public string? OnlyCompiled => MarkOf("compiled, not run: ");

    /// <summary>
    /// Whether it shows exactly what the block before it prints: <c>&lt;!-- prints --&gt;</c>, or
    /// <c>&lt;!-- prints, except: PATTERN --&gt;</c> where times and places differ from run to run.
    /// </summary>
    public bool IsOutput => Mark == "prints" || Except is not null;

    /// <summary>A regular expression of what may differ in the output; null if nothing may.</summary>
    public string? Except => MarkOf("prints, except: ");

    public string Where => $"{Document}:{Line}";

    public static IReadOnlyList<DocumentBlock> Of(string document) => Parse(document, File.ReadAllLines(RepositoryFiles.Path(document)));

    public static IReadOnlyList<DocumentBlock> Parse(string document, IReadOnlyList<string> lines)
    {
        var blocks = new List<DocumentBlock>();
        for (var at = 0; at < lines.Count; at++)
        {
            if (!lines[at].StartsWith("```", StringComparison.Ordinal)) continue;
            var end = at + 1;
            while (end < lines.Count && lines[end] != "```") end++;
            Assert.True(end < lines.Count, $"{document}:{at + 1}: the fence is never closed.");
            var mark = at > 0 ? Comment().Match(lines[at - 1]) : Match.Empty;
            blocks.Add(new(
                document, at + 1, lines[at][3..].Trim(), string.Join('\n', lines.Skip(at + 1).Take(end - at - 1)),
                mark.Success ? mark.Groups[1].Value : null));
            at = end;
        }

        return blocks;
    }

    private string? MarkOf(string start) =>
        Mark is not null && Mark.StartsWith(start, StringComparison.Ordinal) && Mark.Length > start.Length ? Mark[start.Length..] : null;

    [GeneratedRegex(@"^<!-- (.+) -->$")]
    private static partial Regex Comment();
}
