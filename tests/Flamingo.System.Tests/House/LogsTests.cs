using System.Globalization;
using System.Text.RegularExpressions;
using Flamingo.Testing;

namespace Flamingo.SystemTests.House;

/// <summary>Logs are source-generated and numbered, with one class per subsystem (docs/architecture.md, "Events").</summary>
public sealed partial class LogsTests
{
    private static IReadOnlyDictionary<string, string> Sources { get; } = new[] { "libs", "services", "cli" }
        .SelectMany(folder => Directory.EnumerateFiles(RepositoryFiles.Path(folder), "*.cs", SearchOption.AllDirectories))
        .ToDictionary(file => Path.GetRelativePath(RepositoryFiles.Root, file), File.ReadAllText);

    private static IReadOnlyDictionary<string, IReadOnlyList<int>> Events { get; } = Sources
        .Select(source => (source.Key, Numbers: MessageAttribute().Matches(source.Value)
            .Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)).ToList()))
        .Where(source => source.Numbers.Count > 0)
        .ToDictionary(source => source.Key, source => (IReadOnlyList<int>)source.Numbers);

    [Fact]
    public void Every_class_of_events_is_on_the_page_and_none_beside() =>
        Assert.Equal(Page().Keys.Order(StringComparer.Ordinal), Events.Keys.Order(StringComparer.Ordinal));

    [Fact]
    public void Every_event_has_a_number_of_its_subsystem_and_no_other_event_has_it()
    {
        var page = Page();
        Assert.All(Events, file => Assert.All(file.Value, number => Assert.InRange(number, page[file.Key], page[file.Key] + 99)));
        Assert.Distinct(Events.SelectMany(file => file.Value));
        Assert.Distinct(page.Values);
    }

    [Fact]
    public void Events_stand_in_classes_named_Log() =>
        Assert.All(Events.Keys, file => Assert.EndsWith("Log.cs", file, StringComparison.Ordinal));

    [Fact]
    public void No_message_is_logged_without_a_number() =>
        Assert.Empty(Sources.Where(source => DirectCall().IsMatch(source.Value)).Select(source => source.Key));

    /// <summary>The first number of each file, from the table of docs/architecture.md.</summary>
    private static Dictionary<string, int> Page() => EventRow().Matches(File.ReadAllText(RepositoryFiles.Path("docs", "architecture.md")))
        .ToDictionary(row => row.Groups[2].Value, row => int.Parse(row.Groups[1].Value, CultureInfo.InvariantCulture));

    [GeneratedRegex(@"\[LoggerMessage\(\s*(?:EventId = )?(\d+)")]
    private static partial Regex MessageAttribute();

    // MSBuild tasks have their own logger, which is called Log.
    [GeneratedRegex(@"(?<!\bLog)\.Log(Trace|Debug|Information|Warning|Error|Critical)\(")]
    private static partial Regex DirectCall();

    [GeneratedRegex(@"^\| (\d+) \| `([^`]+Log\.cs)` \|$", RegexOptions.Multiline)]
    private static partial Regex EventRow();
}
