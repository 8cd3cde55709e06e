using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Spectre.Console;

namespace Flamingo.Cli.Reporting;

/// <summary>Formats numbers, tables and JSON objects for standard output.</summary>
public static class Page
{
    // Lines in a file or pipe are not wrapped at the width of a terminal.
    private const int Unbounded = 1000;

    /// <summary>Writes member names in snake case, like the public service. They are a contract with callers' scripts.</summary>
    public static JsonSerializerOptions Json { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static Table Table(params string[] columns)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var column in columns) table.AddColumn(Markup.Escape(column), made => made.NoWrap());
        return table;
    }

    public static void AddRow(Table table, params string[] cells) => table.AddRow([.. cells.Select(cell => new Text(cell))]);

    public static void Write(TextWriter output, Table table)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        if (!console.Profile.Out.IsTerminal) console.Profile.Width = Unbounded;
        console.Write(table);
    }

    /// <summary>Hours, minutes and seconds, for example <c>0:04:30</c>; more than a day is counted in hours.</summary>
    public static string Duration(TimeSpan time) => $"{(long)time.TotalHours}:{time:mm\\:ss}";

    public static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    public static string Size(long bytes) => bytes switch
    {
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):0.0} GiB"),
        >= 1L << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):0.0} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.0} KiB"),
    };
}
