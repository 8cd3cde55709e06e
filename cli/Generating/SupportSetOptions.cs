using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.SupportSets;

namespace Flamingo.Cli.Generating;

/// <summary>
/// Examples from a support set, put before the prompt: a set of the server, or a file whose examples make one in this process.
/// </summary>
public sealed class SupportSetOptions
{
    private readonly Option<string> _set = new("--support-set")
    {
        HelpName = "NAME|FILE.jsonl",
        Description = "Put examples before the prompt: of a server's set with --server, else of a file ('-' is standard input) of lines "
            + "{\"picture\": \"path beside the file\", \"text\": \"This is a jano\"}.",
    };

    private readonly Option<int?> _shots = NumberOption.Create<int>(
        "--shots", "N", "How many examples, with every --select but all.", least: 1);
    private readonly Option<string> _select = new("--select")
    {
        HelpName = "all|first|random|rices",
        Description = "Which: all; the first N; N by seed; or RICES, the N most similar to the prompt's last picture, the most similar "
            + "last. Default: all, with --shots first.",
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
                result.AddError("--shots, --select and --selection-seed belong to --support-set. Name one.");
            if (selection == ShotSelection.All && result.GetResult(_shots) is not null)
                result.AddError("--select all takes every example: leave out --shots.");
            if (selection != ShotSelection.All && result.GetResult(_shots) is null)
                result.AddError($"--select {result.GetValue(_select)} needs --shots N.");
            if (result.GetResult(_seed) is not null && selection != ShotSelection.Random)
                result.AddError("--selection-seed belongs to --select random.");
        });
    }

    public bool IsGiven(SymbolResult result) => result.GetResult(_set) is not null;

    /// <returns>Null where no set was named.</returns>
    /// <param name="names">Learns what the user calls the fields of the choice.</param>
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

    /// <summary>The examples of the file that was named, where no server is asked.</summary>
    /// <exception cref="UsageException">No such file, or faults in it.</exception>
    public PutSupportSet? ReadFile(ParseResult parsed, string tenant, FieldNames names)
    {
        if (parsed.GetValue(_set) is not { } set) return null;
        const string Expected = "a file of examples, or a server with --server for one of its sets";
        if (set != InputFile.StandardInput && PathRules.MissingFile(set, Expected) is { } missing)
            throw new UsageException($"--support-set: {missing}");
        return new PutSupportSet(NameOf(set), ExampleFile.Read(set, names)) { Tenant = tenant };
    }

    /// <exception cref="UsageException">A file was named, and a server has sets alone.</exception>
    public void RefuseFile(ParseResult parsed)
    {
        if (parsed.GetValue(_set) is { } set && NameOf(set) != set)
            throw new UsageException(
                $"--support-set: with --server, name a set. 'flamingo support-set put NAME {set} --server URL' makes one of this file.");
    }

    private static ShotSelection Selection(string? name, int? shots) => name switch
    {
        "all" => ShotSelection.All,
        "first" => ShotSelection.First,
        "random" => ShotSelection.Random,
        "rices" => ShotSelection.Rices,
        _ => shots is null ? ShotSelection.All : ShotSelection.First,
    };

    // a name of the service's kind; a set of a server's has one already
    private static string NameOf(string set)
    {
        if (!set.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) && !set.Contains(Path.DirectorySeparatorChar)) return set;
        var name = Path.GetFileNameWithoutExtension(set).Take(TenantName.MostCharacters);
        return string.Concat(name.Select(character => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' ? character : '-'));
    }
}
