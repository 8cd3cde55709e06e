using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.SupportSets;

namespace Flamingo.Cli.Generating;

/// <summary>
/// The options for examples that are put before the prompt. They come from a support set on the server, or from a file, whose examples
/// become a support set in this process.
/// </summary>
public sealed class SupportSetOptions
{
    private readonly Option<string> _set = new("--support-set")
    {
        HelpName = "NAME|FILE.jsonl",
        Description = "Put examples before the prompt. With --server they come from the server's support set NAME, otherwise from a file "
        + "('-' is standard input) with one JSON object {\"picture\": \"path relative to the file\", \"text\": \"This is a jano\"} per "
        + "line.",
    };

    private readonly Option<int?> _shots = NumberOption.Create<int>(
        "--shots", "N", "Number of examples. Required by every --select except all.", least: 1);
    private readonly Option<string> _select = new("--select")
    {
        HelpName = "all|first|random|rices",
        Description = "How examples are selected: all of them; the first N; N at random; or by RICES the N that are most similar to the "
        + "prompt's last picture, the most similar one last. Default: all without --shots, first with --shots.",
    };
    private readonly Option<ulong?> _seed = NumberOption.Create<ulong>("--selection-seed", "SEED", "Seed of --select random. Default: 0.");

    public SupportSetOptions() => _select.MustBeOneOf("all", "first", "random", "rices");

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _set, _shots, _select, _seed }) command.Add(option);
        command.AddRule(result =>
        {
            var selection = Selection(result.GetValue(_select), result.GetValue(_shots));
            if (!IsGiven(result) && new Option[] { _shots, _select, _seed }.Any(option => result.GetResult(option) is not null))
                result.AddError("--shots, --select and --selection-seed belong to --support-set. Give --support-set too.");
            if (selection == ShotSelection.All && result.GetResult(_shots) is not null)
                result.AddError("--select all takes every example, so leave out --shots.");
            if (selection != ShotSelection.All && result.GetResult(_shots) is null)
                result.AddError($"--select {result.GetValue(_select)} needs --shots N.");
            if (result.GetResult(_seed) is not null && selection != ShotSelection.Random)
                result.AddError("--selection-seed belongs to --select random. Give --select random too.");
        });
    }

    public bool IsGiven(SymbolResult result) => result.GetResult(_set) is not null;

    /// <returns>Null if the user named no support set.</returns>
    /// <param name="names">Receives the names under which errors report the fields of the choice.</param>
    public SupportSetChoice? Read(ParseResult parsed, FieldNames names)
    {
        if (parsed.GetValue(_set) is not { } set) return null;
        foreach (var within in new[] { "", "prompt." })
        {
            names.Add($"{within}support_set", _set.Name);
            names.Add($"{within}support_set.count", _shots.Name);
            names.Add($"{within}support_set.selection", _select.Name);
        }

        var selection = Selection(parsed.GetValue(_select), parsed.GetValue(_shots));
        return new SupportSetChoice(NameOf(set), selection, parsed.GetValue(_shots) ?? 0, parsed.GetValue(_seed) ?? 0);
    }

    /// <summary>Reads the examples of the file that was named, for a model in this process.</summary>
    /// <exception cref="UsageException">The file does not exist, or it has errors.</exception>
    public PutSupportSet? ReadFile(ParseResult parsed, string tenant, FieldNames names)
    {
        if (parsed.GetValue(_set) is not { } set) return null;
        const string Expected = "a file of examples, or give --server to use a support set of that server";
        if (set != InputFile.StandardInput && PathRules.MissingFile(set, Expected) is { } missing)
            throw new UsageException($"--support-set: {missing}");
        return new PutSupportSet(NameOf(set), ExampleFile.Read(set, names)) { Tenant = tenant };
    }

    /// <summary>Rejects a file in place of the name of a support set, because a server does not read files.</summary>
    /// <exception cref="UsageException">The user named a file.</exception>
    public void RefuseFile(ParseResult parsed)
    {
        if (parsed.GetValue(_set) is { } set && NameOf(set) != set)
            throw new UsageException(
                "--support-set: with --server, name a support set. "
                    + $"'flamingo support-set put NAME {set} --server URL' creates one from this file.");
    }

    private static ShotSelection Selection(string? name, int? shots) => name switch
    {
        "all" => ShotSelection.All,
        "first" => ShotSelection.First,
        "random" => ShotSelection.Random,
        "rices" => ShotSelection.Rices,
        _ => shots is null ? ShotSelection.All : ShotSelection.First,
    };

    // Turns a file name into a valid name of a support set; a name that is not a path is returned unchanged.
    private static string NameOf(string set)
    {
        if (!set.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) && !set.Contains(Path.DirectorySeparatorChar)) return set;
        var name = Path.GetFileNameWithoutExtension(set).Take(TenantName.MostCharacters);
        return string.Concat(name.Select(character => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' ? character : '-'));
    }
}
