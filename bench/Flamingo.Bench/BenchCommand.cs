using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Bench.Arguments;
using Flamingo.Bench.Attacking;
using Flamingo.Bench.Figures;
using Flamingo.Bench.FullSize;
using Flamingo.Bench.Soaking;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Fixtures.Attacks;
using Microsoft.Extensions.Options;

namespace Flamingo.Bench;

/// <summary>
/// The command line of <c>bench/Flamingo.Bench</c>. It measures figures on this machine and writes one JSON line per figure to standard
/// output; progress, a summary and errors go to standard error.
/// </summary>
public sealed class BenchCommand
{
    private const string Shapes = "shapes";
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
        Description = "List all figures with their unit and reference, and measure nothing.",
    };

    private readonly Option<int?> _threads = NumberOption.Create<int>(
        "--threads", "N", "Compute threads. Default: all processors.", "whole number of 1 or more", threads => threads >= 1);

    private readonly Option<int?> _seed = NumberOption.Create<int>(
        "--seed", "N", "Seed of pictures and random weights.", "whole number", _ => true, 1);

    private readonly Option<int?> _repetitions = NumberOption.Create<int>(
        "--repetitions", "N", "Number of timed rounds, whose median is reported. Default: 9 for shapes, 3 for other geometries.",
        "whole number of 1 or more", rounds => rounds >= 1);

    private readonly Option<DirectoryInfo> _model = new("--model", "-m")
    {
        HelpName = "DIR",
        Description = "With --geometry shapes: measure this model directory instead of models/shapes. "
        + "With other geometries: keep the written model in this folder, or use the model that is already there.",
    };

    private readonly Option<string[]> _settings = new("--set")
    {
        HelpName = "KEY=VALUE", AllowMultipleArgumentsPerToken = true,
        Description = "Configuration of the services, for example LanguageModel:MaxQueued=128.",
    };

    private readonly Option<FileInfo> _output = new Option<FileInfo>("--output", "-o")
    {
        HelpName = "FILE", Description = "Also write the JSON lines to this file.",
    }.MustBeWritable();

    private readonly Option<double?> _soak = NumberOption.Create<double>(
        "--soak", "MINUTES",
        "Run only a soak test: offer twice the admitted load for this time and check that nothing grows, stays leased or fails. "
        + "The exit code is 1 if the check fails. "
        + "The limits suit models/shapes unless --set changes them.",
        "number above 0 and at most 100000", minutes => minutes is > 0 and <= 100_000);

    private readonly Option<string[]> _attacks = new("--attacks")
    {
        HelpName = "NAME …", AllowMultipleArgumentsPerToken = true, Arity = ArgumentArity.ZeroOrMore,
        Description = "Measure only how much slower one caller becomes, and how much memory the server takes, while another caller attacks "
        + $"'flamingo serve'. Default: all attacks; known are {string.Join(", ", Attack.All.Select(attack => attack.Name))}.",
    };

    private readonly Option<bool> _fullSize = new("--full-size")
    {
        Description = "Measure only the resources that a full-size checkpoint needs on this machine. The run writes the published files "
        + "with random weights, imports them as bf16, loads the model from disk, answers prompts with 4 shots with native and with int8 "
        + "weights, and deletes the files. It needs a --geometry other than shapes, and 18, 22, 38 or 37 GB in TMPDIR.",
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
        _attacks.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => Attack.All.All(attack => attack.Name != token.Value)))
                result.AddError($"--attacks: no attack is called {token.Value}. Known: "
                    + $"{string.Join(", ", Attack.All.Select(one => one.Name))}.");
        });
    }

    /// <summary>Creates the command. It has no side effects.</summary>
    public static RootCommand Create()
    {
        var bench = new BenchCommand();
        var command = new RootCommand(
            "Measure this build on this machine. One JSON line per figure is written to standard output (figure, value, unit, against); "
            + "progress and a summary go to standard error.")
        {
            bench._geometry, bench._figures, bench._list, bench._soak, bench._attacks, bench._fullSize,
            bench._threads, bench._seed, bench._repetitions, bench._model, bench._settings, bench._output,
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

    // Checks combinations of options. Reading a value that cannot be parsed throws, and the parser has then already recorded its error.
    private void CheckTogether(CommandResult result)
    {
        if (result.Children.Any(child => child.Errors.Any())) return;
        bool Given(Option option) => result.GetResult(option) is { Implicit: false };
        var isSynthetic = result.GetValue(_geometry) is not (null or Shapes);
        if (Given(_soak) && (Given(_figures) || Given(_list)))
            result.AddError("--soak measures no figures, so leave out --figures and --list.");
        if (Given(_attacks) && (isSynthetic || new Option[] { _figures, _list, _soak, _threads }.Any(Given)))
            result.AddError("--attacks measures nothing else, on models/shapes or --model, so leave out --geometry, --figures, --list, "
                + "--soak and --threads.");
        foreach (var figure in FigureCatalogue.All.Where(figure => isSynthetic && figure.NeedsTrainedWeights))
        {
            if ((result.GetValue(_figures) ?? []).Contains(figure.Name))
                result.AddError($"--figures: {figure.Name} needs trained weights. Use --geometry {Shapes}.");
        }

        if (!result.GetValue(_fullSize)) return;
        if (!isSynthetic) result.AddError("--full-size writes the model that it measures. Name a --geometry other than shapes.");
        if (new Option[] { _figures, _list, _soak, _attacks, _model }.Any(Given))
        {
            result.AddError("--full-size measures nothing else and keeps no model, so "
                + "leave out --figures, --list, --soak, --attacks and --model.");
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

        var once = new Option[] { _soak, _attacks, _fullSize }.FirstOrDefault(option =>
            parsed.GetResult(option) is { Implicit: false });
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

        if (parsed.GetResult(_attacks) is { Implicit: false })
        {
            await AttackRun.RunAsync(request, parsed.GetValue(_attacks) ?? [], WriteAsync, error, TimeProvider.System, cancellation);
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

    /// <summary>Finds models/shapes in the current directory or its parents, otherwise in the program's folder or its parents.</summary>
    public static string FindShapes()
    {
        foreach (var start in new[] { Environment.CurrentDirectory, AppContext.BaseDirectory })
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                var model = Path.Combine(folder.FullName, "models", "shapes");
                if (File.Exists(Path.Combine(model, ModelDirectory.ConfigFile))) return model;
            }
        }

        throw new FileNotFoundException(
            "There is no models/shapes in the current directory or its parents. Run the command inside the repository.");
    }
}
