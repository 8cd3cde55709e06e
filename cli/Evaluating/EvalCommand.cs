using System.CommandLine;
using Flamingo.Evaluation.Datasets;

namespace Flamingo.Cli.Evaluating;

/// <summary><c>flamingo eval</c> measures a model on benchmarks, in the formats of their publishers.</summary>
public static class EvalCommand
{
    public const string Name = "eval";

    public static Command Create()
    {
        var command = new Command(Name, "Measure a model or a server on a benchmark, as OpenFlamingo and IDEFICS were measured.");
        foreach (var task in Benchmarks.All) command.Add(EvalTaskCommand.Create(task));
        command.Add(EvalMetricsCommand.Create());
        command.Add(EvalCompareCommand.Create());
        return command;
    }
}
