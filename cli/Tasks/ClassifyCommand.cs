using System.CommandLine;
using Flamingo.Cli.Reporting;
using Flamingo.Stages;

namespace Flamingo.Cli.Tasks;

/// <summary><c>flamingo classify</c>: which of several labels a picture has.</summary>
public static class ClassifyCommand
{
    public static Command Create()
    {
        var labels = new Option<string[]>("--label", "-l") { HelpName = "TEXT", Required = true, Description = "A possible label; repeatable." };
        var scoring = new Option<string>("--scoring") { HelpName = "mean|sum", Description = "A label's score: log-likelihood per token, or of the whole label. Default: mean." };
        scoring.AcceptOnlyFromAmong("mean", "sum");
        var ensemble = new Option<int?>("--ensemble") { HelpName = "N", Description = "With --support-set: the mean over N orders of the examples, 2 to 24." };
        var (json, task) = (TaskReport.JsonOption(), new TaskOptions(asks: false));
        var command = new Command("classify", "Tell which label a picture has, asked by the model's own template: one line each, score and label, the best first.") { labels };
        task.AddTo(command);
        foreach (var option in new Option[] { scoring, ensemble, json }) command.Add(option);
        command.Validators.Add(result =>
        {
            if (result.GetResult(ensemble) is not null && !(result.GetValue(ensemble) is >= 2 and <= 24)) result.AddError("--ensemble takes 2 to 24.");
            if (result.GetResult(ensemble) is not null && !task.HasSupportSet(result)) result.AddError("--ensemble permutes the examples of --support-set. Name one.");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var request = new ClassifyTask(task.Read(parsed), parsed.GetRequiredValue(labels))
            {
                Scoring = parsed.GetValue(scoring) == "sum" ? LabelScoring.Sum : LabelScoring.Mean, Ensemble = parsed.GetValue(ensemble) is { } permutations ? new Ensemble(permutations, 0) : null,
            };
            await using var opened = await task.OpenAsync(parsed, error, cancellation);
            await TaskReport.WriteAsync(await opened.Tasks.ClassifyAsync(request, cancellation), parsed.GetValue(json), output, error);
            return ExitCode.Done;
        });
        return command;
    }
}
