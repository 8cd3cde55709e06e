using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Runs;
using Flamingo.Evaluation.Scoring;
using Flamingo.Evaluation.Sending;

namespace Flamingo.Cli.Evaluating;

/// <summary>
/// <c>flamingo eval TASK</c>: reads a benchmark's files, asks a model or a server every query, and writes scores, answers and a report.
/// </summary>
public sealed class EvalTaskCommand
{
    private const int MostListed = 10;

    private readonly BenchmarkTask _task;
    private readonly List<(BenchmarkOption Option, Func<ParseResult, string?> Value)> _files = [];
    private readonly RunOptionsOnCommandLine _run;
    private readonly AnswererOptions _answerer = new(takesExamples: false, takesPin: false);

    private readonly Option<int?> _batch = NumberOption.Create<int>(
        "--batch", "N", "Requests in flight at the same time.", 1, 1024, value: SendingOptions.Default.InFlight);

    private readonly Option<double?> _patience = NumberOption.Create<double>(
        "--patience", "SECONDS", "How long a server may be away or overloaded before a query fails.", 0, 86_400,
        value: SendingOptions.Default.Patience.TotalSeconds);

    private readonly Option<FileInfo> _results = new("--results", "-o")
    {
        HelpName = "FILE", Description =
            "Write scores, answers and everything to repeat them as JSON, and beside FILE a page (.html), plots "
            + "(.svg) and the answers as they come (.answers.jsonl), from which a second start goes on.",
    };

    private readonly Option<bool> _restart =
        new("--restart") { Description = "Forget the answers of an earlier run with the same --results." };

    private readonly Option<DirectoryInfo> _cache = new("--cache")
    {
        HelpName = "DIR", Description = "With --rices: keep the embeddings of pictures in DIR, so that the next run need not compute them.",
    };

    private readonly Option<string> _orientation = new("--orientation")
    {
        HelpName = "exif|ignore", DefaultValueFactory = _ => "ignore",
        Description = "Whether pictures are turned upright by their EXIF data. The originals ignored it. A server has its own setting.",
    };

    private EvalTaskCommand(BenchmarkTask task) => (_task, _run) = (task, new RunOptionsOnCommandLine(task));

    public static Command Create(BenchmarkTask task) => new EvalTaskCommand(task).Build();

    private Command Build()
    {
        var command = new Command(_task.Name, _task.About);
        foreach (var file in _task.Needed.Concat(_task.Optional)) AddFile(command, file, _task.Needed.Contains(file));
        _run.AddTo(command);
        foreach (var option in new Option[] { _results, _restart, _batch, _patience, _orientation }) command.Add(option);
        if (_run.Draws) command.Add(_cache); // it keeps what --rices needs
        _answerer.AddTo(command);
        _orientation.MustBeOneOf("exif", "ignore");
        command.AddRule(result =>
        {
            if (result.GetResult(_restart) is not null && result.GetResult(_results) is null)
                result.AddError("--restart has no effect without --results.");
            if (result.GetResult(_cache) is not null && !result.GetValue(_run.Rices))
                result.AddError("--cache keeps the embeddings that --rices needs. Give --rices too, or leave --cache out.");
        });
        command.SetAction(RunAsync);
        return command;
    }

    private void AddFile(Command command, BenchmarkOption file, bool needed)
    {
        if (file == BenchmarkOption.Folder)
        {
            var folder = new Argument<string>(file.Name) { Description = file.Help };
            command.Add(folder);
            _files.Add((file, parsed => parsed.GetValue(folder)));
            return;
        }

        var option = new Option<string>(file.Name) { HelpName = file.IsFolder ? "DIR" : "FILE", Description = file.Help,
            Required = needed };
        command.Add(option);
        _files.Add((file, parsed => parsed.GetValue(option)));
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var (output, error, time) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error, TimeProvider.System);
        // 1 everything that can be wrong in files and options is said before a model is loaded
        var benchmark = Benchmarks.Read(_task.Name,
            _files.Aggregate(new BenchmarkFiles(), (files, one) => one.Option.Set(files, one.Value(parsed))));
        var options = _run.Read(parsed);
        RunPlan.Check(benchmark, options);
        var path = parsed.GetValue(_results)?.FullName;
        if (path is not null) Directory.CreateDirectory(Path.GetDirectoryName(path)!);

        // 2 the model
        await using var opened = await _answerer.OpenAsync(parsed, new FieldNames(), error, cancellation, parsed.GetValue(_orientation));
        var model = await opened.Flamingo.GetModelAsync(cancellation);
        CheckOrientation(parsed, model, error);
        using var log = path is null ? null : AnswerLog.Open(
            $"{path}.answers.jsonl", EvaluationRun.Identity(benchmark, options, model), parsed.GetValue(_restart), time.GetUtcNow());

        // 3 shots by similarity need every picture's embedding
        var sender = new RequestSender(
            new SendingOptions(parsed.GetValue(_batch)!.Value, TimeSpan.FromSeconds(parsed.GetValue(_patience)!.Value)), time,
            new WaitingNotice(error, time).Tell);
        var nearest = options.Selection == RunOptions.Rices
            ? await NearestAsync(benchmark, model, opened.Flamingo, sender, parsed, error, cancellation) : null;

        // 4 ask
        PlannedQuery[] plan = [.. RunPlan.Of(benchmark, options, nearest)];
        if (log?.Answers.Count is > 0 and var known) error.WriteLine($"flamingo: {known} answers are there already; the run goes on.");
        var (asker, start) =
            (new QueryAsker(opened.Flamingo, opened.Tasks, model, benchmark, options, _answerer.Tenant(parsed)), time.GetTimestamp());
        var answers = await ProgressBar.RunAsync(error, report => new EvaluationRun(sender, time).AskAllAsync(
            plan, asker, benchmark.Name, log, progress => report(new Progressed(progress.Done, progress.Total, Shown(progress))),
                cancellation));

        // 5 score and report
        var (scores, items) = Scores.Of(benchmark, answers);
        var elapsed = (log?.Earlier ?? TimeSpan.Zero) + time.GetElapsedTime(start);
        var run = RunWords.Describe(parsed, benchmark, options, model, log?.Started ?? time.GetUtcNow(), elapsed);
        ScoreTable.Write(output, scores);
        if (path is not null)
        {
            var results = new EvaluationResults(run, scores, items);
            ResultsFile.Write(path, results);
            var report = Report.WriteBeside(
                path, results, [benchmark], new ReportOptions { Thumbnail = new Thumbnails(model.Vision).Make }, cancellation);
            error.WriteLine($"flamingo: {path} has the scores and answers, and {report[0]} shows them.");
        }

        ItemAnswer[] failed = [.. answers.Where(answer => answer.Error is not null)];
        foreach (var answer in failed.Take(MostListed))
            error.WriteLine($"flamingo: {answer.Benchmark} {answer.Id} with {answer.Condition.Shots} shots failed: {answer.Error}");
        if (failed.Length > 0)
            error.WriteLine($"flamingo: {failed.Length} of {answers.Count} queries failed and are not scored. "
                + (path is null ? "" : "The same command asks them again."));
        return failed.Length > 0 ? ExitCode.Failed : ExitCode.Done;
    }

    private async Task<Func<BenchmarkItem, IEnumerable<BenchmarkItem>>> NearestAsync(
        Benchmark benchmark, FlamingoModel model, IFlamingo flamingo, RequestSender sender, ParseResult parsed, TextWriter error,
        CancellationToken cancellation)
    {
        var embeddings = new PictureEmbeddings(flamingo, model, sender, parsed.GetValue(_cache)?.FullName, _answerer.Tenant(parsed));
        var files = benchmark.Examples.Concat(benchmark.Queries)
            .Select(item => item.Parts.OfType<PicturePart>().Last().File).Distinct(StringComparer.Ordinal);
        await ProgressBar.RunAsync(error, async report =>
        {
            await embeddings.LoadAsync(files, (done, total) => report(new Progressed(done, total, "embeddings")), cancellation);
            return 0;
        });
        foreach (var (file, refusal) in embeddings.Refused.Take(MostListed))
            error.WriteLine($"flamingo: {file} is never a shot, because it has no embedding: {refusal}");
        if (embeddings.Refused.Count > MostListed)
            error.WriteLine($"flamingo: so are {embeddings.Refused.Count - MostListed} other pictures.");
        return embeddings.Nearest(benchmark.Examples);
    }

    private void CheckOrientation(ParseResult parsed, FlamingoModel model, TextWriter error)
    {
        var wanted = parsed.GetValue(_orientation);
        if (model.Vision.Orientation == wanted) return;
        var said = $"the server treats EXIF orientations as '{model.Vision.Orientation}', and its model's flamingo.json decides that.";
        if (parsed.GetResult(_orientation) is { Implicit: false })
            throw new UsageException($"--orientation {wanted}: {said} Leave the option out, or change the server's model.");
        error.WriteLine($"flamingo: {said} The originals ignored them; photographs that lie on their side give other scores.");
    }

    private static string Shown(RunProgress progress)
    {
        var left = TimeSpan.FromSeconds((progress.Total - progress.Done) / Math.Max(progress.Rate, 1e-6));
        return FormattableString.Invariant(
            $"{progress.Done} of {progress.Total}, {progress.Rate:0.0} answers/s, remaining {Page.Duration(left)}")
            + (progress.Failed > 0 ? $", {progress.Failed} failed" : "");
    }
}
