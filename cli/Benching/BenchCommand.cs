using System.CommandLine;
using System.Text.Json;
using Flamingo.Bench;
using Flamingo.Bench.Figures;
using Flamingo.Bench.FullSize;
using Flamingo.Bench.NewWords;
using Flamingo.Bench.Soaking;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Benching;

/// <summary><c>flamingo bench</c>: figures measured side by side on this machine, one JSON line each.</summary>
public static class BenchCommand
{
    private const string Shapes = "shapes";
    private const int RandomDraws = 5; // per query: one alone wobbles by several points

    public static Command Create()
    {
        var geometry = new Option<string>("--geometry") { HelpName = $"shapes|{string.Join('|', Geometry.All.Select(known => known.Name))}", DefaultValueFactory = _ => Shapes, Description = "The model that is measured: models/shapes, or random bf16 weights of a published model's sizes, made on the spot (5 to 18 GB of disk, deleted at the end)." };
        geometry.MustBeOneOf([Shapes, .. Geometry.All.Select(known => known.Name)]);
        var figures = new Option<string[]>("--figures", "-f") { HelpName = "NAME …", AllowMultipleArgumentsPerToken = true, Description = "Measure only these. Default: all; --list names them." };
        var list = new Option<bool>("--list") { Description = "Name all figures with unit and what each is relative to; measure nothing." };
        var threads = NumberOption.Create<int>("--threads", "N", "Compute threads. Default: all processors.", least: 1);
        var seed = NumberOption.Create<int>("--seed", "N", "Seed of pictures and random weights.", value: 1);
        var repetitions = NumberOption.Create<int>(
            "--repetitions", "N", "Timed rounds that a median is taken of. Default: 9 for shapes, 3 for others.", least: 1);
        var model = new Option<DirectoryInfo>("--model", "-m") { HelpName = "DIR", Description = "With shapes: measure this model directory instead. With others: keep the made model here, or use it if it is there." };
        var settings = new Option<string[]>("--set") { HelpName = "KEY=VALUE", AllowMultipleArgumentsPerToken = true, Description = "Configuration of the services, for example LanguageModel:MaxQueued=128." };
        var file = new Option<FileInfo>("--output", "-o") { HelpName = "FILE", Description = "Write the lines to this file too." }
            .MustBeWritable();
        var soak = NumberOption.Create<double>(
            "--soak", "MINUTES",
            "Measure nothing else, but offer twice the load that is admitted for so long, "
                + "and see whether anything grows, stays leased or fails: exit code 1 if so. "
                + "Limits that suit models/shapes are set unless --set says otherwise.", 0, 100_000, moreThan: true);
        var newWords = new Option<DirectoryInfo>("--new-words") { HelpName = "DIR",
            Description = "Measure nothing else, but how often new words are named right after 0 to 8 examples of a support set, "
            + "at random and by RICES: retrieval.json and pictures in DIR, for example tests/reference/shapes/evaluation." }
            .MustExist("the folder with retrieval.json and its pictures");
        var plot = new Option<FileInfo>("--plot") { HelpName = "FILE", Description = "With --new-words: draw it, as .svg or .png." }
            .MustBeWritable(".svg", ".png");
        var fullSize = new Option<bool>("--full-size") { Description = "Measure nothing else, but what such a checkpoint asks of this machine: its publication, file by file with random weights, is written, imported as bf16, loaded from disk and asked with 4 shots, natively and with int8 weights, and deleted. Needs a --geometry other than shapes, and disk for publication and model: 18, 22, 38 or 37 GB in TMPDIR." };
        figures.Validators.Add(result =>
        {
            if (FigureCatalogue.Unknown(result.GetValueOrDefault<string[]>() ?? []) is { Count: > 0 } unknown)
                result.AddError($"--figures: no figure is called {string.Join(" or ", unknown)}. Known: {string.Join(", ", FigureCatalogue.All.Select(figure => figure.Name))}.");
        });
        settings.Validators.Add(result =>
        {
            foreach (var wrong in (result.GetValueOrDefault<string[]>() ?? []).Where(pair => pair.IndexOf('=', StringComparison.Ordinal) < 1)) result.AddError($"--set: '{wrong}' is not KEY=VALUE.");
        });
        var command = new Command("bench", "Measure this build on this machine. One JSON line per figure goes to standard output: figure, value, unit, against; progress and a summary to standard error.") { geometry, figures, list, soak, newWords, plot, fullSize, threads, seed, repetitions, model, settings, file };
        command.AddRule(result =>
        {
            if (result.GetResult(soak) is not null && (result.GetResult(figures) ?? result.GetResult(list)) is not null) result.AddError("--soak measures no figures: leave out --figures and --list.");
            if (result.GetResult(newWords) is not null && (result.GetResult(figures) ?? result.GetResult(list) ?? result.GetResult(soak)) is not null) result.AddError("--new-words measures nothing else: leave out --figures, --list and --soak.");
            if (result.GetValue(fullSize))
            {
                if (result.GetValue(geometry) is null or Shapes) result.AddError("--full-size makes what it measures: name a --geometry other than shapes.");
                if (new[] { result.GetResult(figures), result.GetResult(list), result.GetResult(soak), result.GetResult(newWords), result.GetResult(model) }.Any(other => other is not null)) result.AddError("--full-size measures nothing else and keeps nothing: leave out --figures, --list, --soak, --new-words and --model.");
            }

            if (result.GetResult(plot) is not null && result.GetResult(newWords) is null) result.AddError("--plot draws what --new-words measures: give that too.");
            if (result.GetValue(geometry) is null or Shapes) return;
            if (result.GetResult(newWords) is not null) result.AddError($"--new-words means nothing for random weights; measure it with --geometry {Shapes}.");
            foreach (var figure in FigureCatalogue.All.Where(figure => figure.NeedsTrainedWeights && (result.GetValue(figures) ?? []).Contains(figure.Name)))
                result.AddError($"--figures: {figure.Name} means nothing for random weights; measure it with --geometry {Shapes}.");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var (synthetic, folder) = (parsed.GetValue(geometry) != Shapes, parsed.GetValue(model)?.FullName);
            var chosen = FigureCatalogue.Select(parsed.GetValue(figures) ?? [], trained: !synthetic);
            if (parsed.GetValue(list))
            {
                foreach (var figure in chosen) await output.WriteLineAsync($"{figure.Name,-40} {figure.Unit,-9} {figure.Against}");
                return ExitCode.Done;
            }

            var request = new BenchRequest(chosen, Geometry.All.FirstOrDefault(known => known.Name == parsed.GetValue(geometry)), synthetic ? DefaultModel.Find() : folder ?? DefaultModel.Find(),
                parsed.GetValue(threads) ?? Environment.ProcessorCount, parsed.GetRequiredValue(seed)!.Value,
                parsed.GetValue(repetitions) ?? (synthetic ? 3 : 9))
            {
                Keep = synthetic ? folder : null,
                StreamTokens = synthetic ? 24 : 48,
                Settings = (parsed.GetValue(settings) ?? []).Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => (string?)pair[1]),
            };
            if (parsed.GetResult(repetitions) is not null
                && new Option[] { soak, newWords, fullSize }
                    .FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } other)
                await error.WriteLineAsync($"flamingo: --repetitions has no effect with {other.Name}, which is measured once.");
            await using var copy = parsed.GetValue(file) is { } target ? target.CreateText() : TextWriter.Null;
            if (parsed.GetValue(soak) is { } minutes)
            {
                var soaked = await SoakRun.RunAsync(request, TimeSpan.FromMinutes(minutes), error, TimeProvider.System, cancellation);
                foreach (var measurement in soaked.Measurements) await WriteAsync(measurement);
                foreach (var fault in soaked.Faults) await error.WriteLineAsync($"flamingo: {fault}");
                return soaked.Faults.Count == 0 ? ExitCode.Done : ExitCode.Failed;
            }

            if (parsed.GetValue(fullSize))
            {
                await FullSizeRun.RunAsync(request, WriteAsync, error, TimeProvider.System, cancellation);
                return ExitCode.Done;
            }

            if (parsed.GetValue(newWords) is { } folderOfWords)
            {
                var accuracies = await NewWordRun.RunAsync(request, Words(folderOfWords.FullName),
                    RandomDraws, error, TimeProvider.System, cancellation);
                foreach (var measurement in NewWordRun.Measurements(accuracies)) await WriteAsync(measurement);
                if (parsed.GetValue(plot) is { } picture) NewWordPlot.Write(accuracies, picture.FullName);
                return ExitCode.Done;
            }

            await BenchRun.RunAsync(request, WriteAsync, error, TimeProvider.System, cancellation);
            return ExitCode.Done;

            async Task WriteAsync(Measurement measurement)
            {
                var line = measurement.ToJson();
                await output.WriteLineAsync(line);
                await copy.WriteLineAsync(line);
                await copy.FlushAsync(cancellation);
            }
        });
        return command;
    }

    private static NewWordData Words(string folder)
    {
        var file = Path.Combine(folder, "retrieval.json");
        if (PathRules.MissingFile(file, "the folder with retrieval.json and its pictures") is { } missing)
            throw new UsageException($"--new-words: {missing}");
        try
        {
            return NewWordData.Read(folder);
        }
        catch (JsonException exception)
        {
            throw new UsageException($"{file} is not valid: {JsonProblem.Describe(exception)}");
        }
    }
}
