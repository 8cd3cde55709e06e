using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;

namespace Flamingo.Cli.Generating;

/// <summary>The options for a ranking that is averaged over several orders of a support set's examples.</summary>
public sealed class EnsembleOptions
{
    private readonly Option<int?> _permutations = NumberOption.Create<int>(
        "--ensemble", "N",
        "With --support-set: average the scores over N orders of the examples, 2 to 24: the selected order and permutations of it.", 2, 24);

    private readonly Option<ulong?> _seed =
        NumberOption.Create<ulong>("--ensemble-seed", "SEED", "Seed of the permutations of --ensemble. Default: 0.");

    /// <param name="hasExamples">Returns whether the user named a support set.</param>
    public void AddTo(Command command, Func<SymbolResult, bool> hasExamples)
    {
        command.Add(_permutations);
        command.Add(_seed);
        command.AddRule(result =>
        {
            var given = result.GetResult(_permutations) is not null;
            if (!given && result.GetResult(_seed) is not null)
                result.AddError("--ensemble-seed belongs to --ensemble. Give --ensemble too.");
            if (given && !hasExamples(result))
                result.AddError("--ensemble permutes the examples of a support set. Give --support-set too.");
        });
    }

    /// <returns>Null without <c>--ensemble</c>.</returns>
    public Ensemble? Read(ParseResult parsed) =>
        parsed.GetValue(_permutations) is { } permutations ? new Ensemble(permutations, parsed.GetValue(_seed) ?? 0) : null;
}
