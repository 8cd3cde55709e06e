using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Bench.Arguments;
using Flamingo.Bench.Figures;
using Flamingo.Bench.FullSize;
using Flamingo.Bench.NewWords;
using Flamingo.Bench.Soaking;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Microsoft.Extensions.Options;

namespace Flamingo.Bench;

/// <summary>
/// The command line of <c>bench/Flamingo.Bench</c>: figures measured side by side on this machine, one JSON line each on standard
/// output; progress, a summary and errors on standard error.
/// </summary>
public sealed class BenchCommand
{
    private const string Shapes = "shapes";
    private const int RandomDraws = 5; // per query: the accuracy of a single draw differs from the mean by several points
    private const int Done = 0, Failed = 1, Usage = 2, Interrupted = 130;
    private static readonly TimeSpan LongestStop = TimeSpan.FromSeconds(10);
    private static readonly string[] Geometries = [Shapes, .. Geometry.All.Select(known => known.Name)];

    private readonly Option<string> _geometry = new("--geometry")
    {
        HelpName = string.Join('|', Geometries), DefaultValueFactory = _ => Shapes,
        Description = "The model that is measured: models/shapes, or random bf16 weights of a published model's sizes, "
            + "which are written for the run (5 to 18 GB of disk) and deleted at the end.",
    };

    private readonly Option<string[]> _figures = new("--figures", "-f")
    {
        HelpName = "NAME …", AllowMultipleArgumentsPerToken = true,
        Description = "Measure only these figures. Default: all; --list names them.",
    };

    private readonly Option<bool> _list = new("--list")
    {
        Description = "Name all figures with unit and what each is relative to; measure nothing.",
    };

    private readonly Option<int?> _threads = NumberOption.Create<int>(
        "--threads", "N", "Compute threads. Default: all processors.", "whole number of 1 or more", threads => threads >= 1);

    private readonly Option<int?> _seed = NumberOption.Create<int>(
        "--seed", "N", "Seed of pictures and random weights.", "whole number", _ => true, 1);

    private readonly Option<int?> _repetitions = NumberOption.Create<int>(
        "--repetitions", "N", "Timed rounds of which the median is taken. Default: 9 for shapes, 3 for others.",
        "whole number of 1 or more", rounds => rounds >= 1);

    private readonly Option<DirectoryInfo> _model = new("--model", "-m")
    {
        HelpName = "DIR",
        Description = "With shapes: measure this model directory instead. "
            + "With others: keep the written model here, or use it if it is there.",
    };

    private readonly Option<string[]> _settings = new("--set")
    {
        HelpName = "KEY=VALUE", AllowMultipleArgumentsPerToken = true,
        Description = "Configuration of the services, for example LanguageModel:MaxQueued=128.",
    };

    private readonly Option<FileInfo> _output = new Option<FileInfo>("--output", "-o")
    {
        HelpName = "FILE", Description = "Write the lines to this file too.",
    }.MustBeWritable();

    private readonly Option<double?> _soak = NumberOption.Create<double>(
        "--soak", "MINUTES",
        "Measure nothing else, but offer twice the load that is admitted for so long, "
            + "and see whether anything grows, stays leased or fails: exit code 1 if so. "
            + "Limits that suit models/shapes are set unless --set says otherwise.",
        "number above 0 and at most 100000", minutes => minutes is > 0 and <= 100_000);

    private readonly Option<DirectoryInfo> _newWords = new("--new-words")
    {
        HelpName = "DIR",
        Description = "Measure nothing else, but how often new words are named right after 0 to 8 examples of a support set, "
            + "at random and by RICES: retrieval.json and pictures in DIR, for example tests/reference/shapes/evaluation.",
    };

    private readonly Option<FileInfo> _plot = new Option<FileInfo>("--plot")
    {
        HelpName = "FILE", Description = "With --new-words: draw the accuracies, as .svg or .png.",
    }.MustBeWritable(".svg", ".png");

    private readonly Option<bool> _fullSize = new("--full-size")
    {
        Description = "Measure nothing else, but what such a checkpoint asks of this machine: its publication, file by file with "
            + "random weights, is written, imported as bf16, loaded from disk and asked with 4 shots, natively and with int8 weights, "
            + "and deleted. Needs a --geometry other than shapes, and disk for publication and model: 18, 22, 38 or 37 GB in TMPDIR.",
    };

    private BenchCommand()
    {
        _geometry.AcceptOnlyFromAmong(Geometries);
        _figures.Validators.Add(result =>
        {
            var unknown = FigureCatalogue.Unknown(result.GetValueOrDefault<string[]>() ?? []);
            if (unknown.Count == 0) return;
            var known = string.Join(", ", FigureCatalogue.All.Select(figure => figure.Name));
            result.AddError($"--figures: no figure is called {string.Join(" or ", unknown)}. Known: {known}.");
        });
        _settings.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => token.Value.IndexOf('=', StringComparison.Ordinal) < 1))
                result.AddError($"--set: '{token.Value}' is not KEY=VALUE.");
        });
        _newWords.Validators.Add(result =>
        {
            var files = result.Tokens.Select(token => Path.Combine(token.Value, "retrieval.json"));
            foreach (var file in files.Where(file => !File.Exists(file)))
                result.AddError($"--new-words: {file} does not exist. Name the folder with retrieval.json and its pictures.");
        });
    }

    /// <summary>The command, without side effects.</summary>
    public static RootCommand Create()
    {
        var bench = new BenchCommand();
        var command = new RootCommand(
            "Measure this build on this machine. One JSON line per figure goes to standard output: figure, value, unit, against; "
            + "progress and a summary to standard error.")
        {
            bench._geometry, bench._figures, bench._list, bench._soak, bench._newWords, bench._plot, bench._fullSize, bench._threads,
            bench._seed, bench._repetitions, bench._model, bench._settings, bench._output,
        };
        command.Validators.Add(bench.CheckTogether);
        command.SetAction(bench.MeasureAsync);
        return command;
    }

    /// <returns>The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.</returns>
    public static async Task<int> RunAsync(
        string[] args, TextWriter output, TextWriter error, CancellationToken cancellation = default)
    {
        var parsed = Create().Parse(args);
        foreach (var fault in parsed.Errors) await error.WriteLineAsync($"bench: {fault.Message.ReplaceLineEndings(" ")}");
        if (parsed.Errors.Count > 0) return Usage;
        try
        {
            var invocation = new InvocationConfiguration
            {
                Output = output, Error = error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = LongestStop,
            };
            return await parsed.InvokeAsync(invocation, cancellation);
        }
        catch (OptionsValidationException exception)
        {
            foreach (var fault in exception.Failures) await error.WriteLineAsync($"bench: {fault}");
            return Usage;
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync("bench: cancelled.");
            return Interrupted;
        }
        catch (Exception exception)
            when (exception is FlamingoException or CheckpointException or IOException or UnauthorizedAccessException or JsonException)
        {
            await error.WriteLineAsync($"bench: {exception.Message}");
            return Failed;
        }
    }

    // Options whose values do not go together. A value that cannot be read has an error of its own, and reading it throws.
    private void CheckTogether(CommandResult result)
    {
        if (result.Children.Any(child => child.Errors.Any())) return;
        bool Given(Option option) => result.GetResult(option) is { Implicit: false };
        var isSynthetic = result.GetValue(_geometry) is not (null or Shapes);
        if (Given(_soak) && (Given(_figures) || Given(_list)))
            result.AddError("--soak measures no figures: leave out --figures and --list.");
        if (Given(_newWords) && (Given(_figures) || Given(_list) || Given(_soak)))
            result.AddError("--new-words measures nothing else: leave out --figures, --list and --soak.");
        if (Given(_plot) && !Given(_newWords)) result.AddError("--plot draws what --new-words measures: give that too.");
        if (Given(_newWords) && isSynthetic)
            result.AddError($"--new-words means nothing for random weights; measure it with --geometry {Shapes}.");
        foreach (var figure in FigureCatalogue.All.Where(figure => isSynthetic && figure.NeedsTrainedWeights))
        {
            if ((result.GetValue(_figures) ?? []).Contains(figure.Name))
                result.AddError($"--figures: {figure.Name} means nothing for random weights; measure it with --geometry {Shapes}.");
        }

        if (!result.GetValue(_fullSize)) return;
        if (!isSynthetic) result.AddError("--full-size writes the model that it measures: name a --geometry other than shapes.");
        if (new Option[] { _figures, _list, _soak, _newWords, _model }.Any(Given))
        {
            result.AddError("--full-size measures nothing else and keeps nothing: "
                + "leave out --figures, --list, --soak, --new-words and --model.");
        }
    }

    private async Task<int> MeasureAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var request = Request(parsed);
        if (parsed.GetValue(_list))
        {
            foreach (var figure in request.Figures) await output.WriteLineAsync($"{figure.Name,-40} {figure.Unit,-9} {figure.Against}");
            return Done;
        }

        var once = new Option[] { _soak, _newWords, _fullSize }.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false });
        if (once is not null && parsed.GetResult(_repetitions) is not null)
            await error.WriteLineAsync($"bench: --repetitions has no effect with {once.Name}, which is measured once.");
        await using var copy = parsed.GetValue(_output) is { } target ? target.CreateText() : TextWriter.Null;
        if (parsed.GetValue(_soak) is { } minutes)
        {
            var soaked = await SoakRun.RunAsync(request, TimeSpan.FromMinutes(minutes), error, TimeProvider.System, cancellation);
            foreach (var measurement in soaked.Measurements) await WriteAsync(measurement);
            foreach (var fault in soaked.Faults) await error.WriteLineAsync($"bench: {fault}");
            return soaked.Faults.Count == 0 ? Done : Failed;
        }

        if (parsed.GetValue(_newWords) is { } folder)
        {
            var accuracies = await NewWordRun.RunAsync(
                request, NewWordData.Read(folder.FullName), RandomDraws, error, TimeProvider.System, cancellation);
            foreach (var measurement in NewWordRun.Measurements(accuracies)) await WriteAsync(measurement);
            if (parsed.GetValue(_plot) is { } picture) NewWordPlot.Write(accuracies, picture.FullName);
        }
        else if (parsed.GetValue(_fullSize))
            await FullSizeRun.RunAsync(request, WriteAsync, error, TimeProvider.System, cancellation);
        else
            await BenchRun.RunAsync(request, WriteAsync, error, TimeProvider.System, cancellation);
        return Done;

        async Task WriteAsync(Measurement measurement)
        {
            var line = measurement.ToJson();
            await output.WriteLineAsync(line);
            await copy.WriteLineAsync(line);
            await copy.FlushAsync(cancellation);
        }
    }

    private BenchRequest Request(ParseResult parsed)
    {
        var geometry = Geometry.All.FirstOrDefault(known => known.Name == parsed.GetValue(_geometry));
        var folder = parsed.GetValue(_model)?.FullName;
        return new BenchRequest(
            FigureCatalogue.Select(parsed.GetValue(_figures) ?? [], trained: geometry is null), geometry,
            geometry is null && folder is not null ? folder : FindShapes(),
            parsed.GetValue(_threads) ?? Environment.ProcessorCount, parsed.GetValue(_seed)!.Value,
            parsed.GetValue(_repetitions) ?? (geometry is null ? 9 : 3))
        {
            Keep = geometry is null ? null : folder,
            StreamTokens = geometry is null ? 48 : 24,
            Settings = (parsed.GetValue(_settings) ?? []).Select(pair => pair.Split('=', 2))
                .ToDictionary(pair => pair[0], pair => (string?)pair[1]),
        };
    }

    // models/shapes, from the current directory upward, else from the program's own folder upward
    private static string FindShapes()
    {
        foreach (var start in new[] { Environment.CurrentDirectory, AppContext.BaseDirectory })
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                var model = Path.Combine(folder.FullName, "models", "shapes");
                if (File.Exists(Path.Combine(model, ModelDirectory.ConfigFile))) return model;
            }
        }

        throw new FileNotFoundException("There is no models/shapes in or above the current directory: run inside the repository.");
    }
}
