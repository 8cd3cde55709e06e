using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;

namespace Flamingo.Cli.Generating;

/// <summary>A ranking as the mean over orders of a support set's examples.</summary>
public sealed class EnsembleOptions
{
    private readonly Option<int?> _permutations = NumberOption.Create<int>(
        "--ensemble", "N",
        "With --support-set: the mean over N orders of the examples, the selected one and permutations of it, 2 to 24.", 2, 24);

    private readonly Option<ulong?> _seed = NumberOption.Create<ulong>("--ensemble-seed", "SEED", "Seed of --ensemble. Default: 0.");

    /// <param name="hasExamples">Whether a support set was named.</param>
    public void AddTo(Command command, Func<SymbolResult, bool> hasExamples)
    {
        command.Add(_permutations);
        command.Add(_seed);
        command.AddRule(result =>
        {
            var given = result.GetResult(_permutations) is not null;
            if (!given && result.GetResult(_seed) is not null) result.AddError("--ensemble-seed belongs to --ensemble.");
            if (given && !hasExamples(result)) result.AddError("--ensemble permutes the examples of --support-set. Name one.");
        });
    }

    /// <returns>Null where none was asked for.</returns>
    public Ensemble? Read(ParseResult parsed) =>
        parsed.GetValue(_permutations) is { } permutations ? new Ensemble(permutations, parsed.GetValue(_seed) ?? 0) : null;
}
