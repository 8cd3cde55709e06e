using System.CommandLine;
using Flamingo.Cli.Arguments;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Cli.Evaluating;

/// <summary>The options of a run that change its answers: shots, seeds, samples, and how an answer is searched.</summary>
internal sealed class RunOptionsOnCommandLine
{
    private readonly bool _hasOwnShots, _papersBeams;
    private readonly Option<int[]> _shots = NumberOption.CreateMany<int>(
        "--shots", "N", "Numbers of shots, each asked in turn. Default: 0 4 8 16 32, or those of the benchmark's items.");

    private readonly Option<int?> _trials =
        NumberOption.Create<int>("--trials", "N", "Times that everything is asked, with other seeds.", 1, 1000);

    private readonly Option<ulong[]> _seeds = NumberOption.CreateMany<ulong>(
        "--seeds", "SEED", "A seed for each trial. Default: 42, 43, …: the shots are then the same for every model.");

    private readonly Option<int?> _samples = NumberOption.Create<int>(
        "--samples", "N", "Queries of each trial, drawn by its seed. Default: all.", 1);

    private readonly Option<int?> _querySet = NumberOption.Create<int>(
        "--query-set", "N", "Random shots are drawn from N examples, which the trial's seed chooses.", 1, value: 2048);

    private readonly Option<string> _supportSet = new("--support-set")
    {
        HelpName = "NAME", Description = "Draw shots at random from this support set of the server.",
    };

    private readonly Option<string[]> _ablations = new("--ablations")
    {
        HelpName = "KIND", AllowMultipleArgumentsPerToken = true,
        Description = "Ask everything again with changed shots: shuffled-labels, blank-pictures or other-pictures, or several.",
    };

    private readonly Option<int?> _beams, _maxTokens = NumberOption.Create<int>(
        "--max-tokens", "N", "Most tokens of an answer. Default: the benchmark's, 20 for captions and 5 for most questions.", 1);

    private readonly Option<float?> _lengthPenalty = NumberOption.Create<float>(
        "--length-penalty", "X", "Length penalty of the beam search.", -5, 5, value: 0);

    private readonly Option<int?> _ensemble = NumberOption.Create<int>(
        "--ensemble", "N", "Orders of the shots over which the scores of labels are averaged; generated answers have no use for it.", 1, 24,
        value: 1);

    public RunOptionsOnCommandLine(BenchmarkTask task)
    {
        _hasOwnShots = task.Name is "episodes" or "vl-icl";
        _papersBeams = task.Name is not ("episodes" or "retrieval" or "vl-icl");
        _beams = NumberOption.Create<int>("--beams", "N", "Beams of a generated answer; 1 is greedy.", 1, 64, value: _papersBeams ? 3 : 1);
        (_shots.AllowMultipleArgumentsPerToken, _seeds.AllowMultipleArgumentsPerToken) = (true, true);
    }

    /// <summary>Whether shots are drawn, so that there is a choice how; otherwise each item has its own.</summary>
    public bool Draws => !_hasOwnShots;

    public Option<bool> Rices { get; } = new("--rices")
    {
        Description = "Take the examples whose pictures are most similar to the query's (RICES), the most similar last.",
    };

    public void AddTo(Command command)
    {
        Option[] drawing = _hasOwnShots ? [] : [_querySet, Rices, _supportSet];
        Option[] all = [_shots, _trials, _seeds, _samples, .. drawing, _ablations, _beams, _lengthPenalty, _maxTokens, _ensemble];
        foreach (var option in all)
            command.Add(option);
        command.AddRule(result =>
        {
            foreach (var shots in result.GetValue(_shots) ?? [])
                if (shots is < 0 or > 1000) result.AddError($"--shots takes whole numbers from 0 to 1000, not {shots}.");
            foreach (var kind in (result.GetValue(_ablations) ?? []).Except(RunOptions.AllAblations))
                result.AddError($"--ablations knows {string.Join(", ", RunOptions.AllAblations)}, not '{kind}'.");
            if (result.GetResult(_trials) is not null && result.GetValue(_seeds) is { Length: > 0 } seeds
                && result.GetValue(_trials) != seeds.Length)
                result.AddError($"--trials {result.GetValue(_trials)} and {seeds.Length} --seeds do not fit. Leave one of them out.");
            if (!_hasOwnShots && result.GetValue(Rices) && result.GetResult(_supportSet) is not null)
                result.AddError("--rices and --support-set exclude each other. RICES over a support set is 'generate --select rices'.");
            if (!_hasOwnShots && result.GetResult(_supportSet) is not null && result.GetResult(_ablations) is not null)
                result.AddError("--ablations change shots that are drawn here, not those of --support-set. Leave one of them out.");
            if (!_hasOwnShots && result.GetValue(_supportSet) is RunOptions.Random or RunOptions.Rices or RunOptions.Own)
                result.AddError($"--support-set cannot be called '{result.GetValue(_supportSet)}', which is a way of drawing shots here.");
        });
    }

    public RunOptions Read(ParseResult parsed)
    {
        var beams = parsed.GetValue(_beams)!.Value;
        return new RunOptions
        {
            Shots = parsed.GetValue(_shots) is { Length: > 0 } shots ? [.. shots.Distinct().Order()] : null,
            Seeds = parsed.GetValue(_seeds) is { Length: > 0 } seeds ? seeds
                : [.. Enumerable.Range(0, parsed.GetValue(_trials) ?? 1).Select(trial => 42UL + (ulong)trial)],
            Samples = parsed.GetValue(_samples), QuerySet = parsed.GetValue(_querySet) ?? new RunOptions().QuerySet,
            Selection = _hasOwnShots ? RunOptions.Random
                : parsed.GetValue(Rices) ? RunOptions.Rices : parsed.GetValue(_supportSet) ?? RunOptions.Random,
            Ablations = [.. (parsed.GetValue(_ablations) ?? []).Distinct()], Beams = beams,
            LengthPenalty = parsed.GetValue(_lengthPenalty)!.Value, MaxTokens = parsed.GetValue(_maxTokens),
            Ensemble = parsed.GetValue(_ensemble)!.Value,
        };
    }
}
