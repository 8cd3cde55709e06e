using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Tasks;

/// <summary><c>flamingo classify</c> scores the labels of a picture.</summary>
public static class ClassifyCommand
{
    public static Command Create()
    {
        var labels = new Option<string[]>("--label", "-l")
        {
            HelpName = "TEXT", Required = true, Description = "A possible label. Repeatable.",
        };
        var scoring = new Option<string>("--scoring")
        {
            HelpName = "mean|sum",
            Description = "The score of a label: its mean log-likelihood per token, or the sum over its tokens. Default: mean.",
        };
        scoring.MustBeOneOf("mean", "sum");
        var (json, task, ensemble) = (TaskReport.JsonOption(), new TaskOptions(asks: false), new EnsembleOptions());
        var command = new Command(
            "classify",
            "Score the labels of a picture, using the model's prompt template. The output is one line per label, score and label, the best "
            + "label first.") { labels };
        task.AddTo(command);
        command.Add(scoring);
        ensemble.AddTo(command, task.HasSupportSet);
        command.Add(json);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var names = new FieldNames();
            var request = new ClassifyTask(task.Read(parsed, names), parsed.GetRequiredValue(labels))
            {
                Scoring = parsed.GetValue(scoring) == "sum" ? LabelScoring.Sum : LabelScoring.Mean, Ensemble = ensemble.Read(parsed),
            };
            names.Add("ensemble", "--ensemble");
            names.Add("labels", labels.Name);
            foreach (var (index, label) in request.Labels.Index()) names.Add($"labels[{index}]", $"{labels.Name} \"{label}\"");
            await using var opened = await task.OpenAsync(parsed, names, error, cancellation);
            var found = await names.AskAsync(() => opened.Tasks.ClassifyAsync(request, cancellation));
            await TaskReport.WriteAsync(found, parsed.GetValue(json), output, error);
            return ExitCode.Done;
        });
        return command;
    }
}
