using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Bench.Arguments;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;

namespace Flamingo.Bench.Peers;

/// <summary>
/// The command line of <c>bench/Flamingo.Bench.Peers</c>: JSON lines on standard output, progress and errors on standard error.
/// </summary>
public static class PeerCommand
{
    private const int Done = 0, Failed = 1, Usage = 2, Interrupted = 130;

    private static readonly string[] Geometries = [.. Geometry.All.Select(known => known.Name)];
    private static readonly string[] WeightNames = [.. PeerWeights.All.Select(known => known.Name)];

    /// <returns>The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.</returns>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error, CancellationToken cancellation = default)
    {
        var parsed = Create().Parse(args);
        foreach (var fault in parsed.Errors) await error.WriteLineAsync($"peers: {fault.Message.ReplaceLineEndings(" ")}");
        if (parsed.Errors.Count > 0) return Usage;
        try
        {
            var invocation = new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false };
            return await parsed.InvokeAsync(invocation, cancellation);
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync("peers: cancelled.");
            return Interrupted;
        }
        catch (Exception exception)
            when (exception is FlamingoException or CheckpointException or IOException or UnauthorizedAccessException
                or InvalidOperationException)
        {
            await error.WriteLineAsync($"peers: {exception.Message}");
            return Failed;
        }
    }

    /// <summary>Creates the command. It has no side effects.</summary>
    public static RootCommand Create()
    {
        var geometry = new Option<string>("--geometry")
        {
            HelpName = string.Join('|', Geometries), DefaultValueFactory = _ => Geometry.OpenFlamingo3B.Name,
            Description = "The published model whose sizes are used. Random weights are written for the run: our model directory "
                + "(5 to 18 GB) and one GGUF file at a time (at most 3 to 14 GB).",
        };
        geometry.AcceptOnlyFromAmong(Geometries);
        var weights = new Option<string[]>("--weights")
        {
            HelpName = "NAME …", AllowMultipleArgumentsPerToken = true,
            Description = $"How weights are held: {string.Join(", ", WeightNames)}. Default: all.",
        };
        weights.AcceptOnlyFromAmong(WeightNames);
        var model = new Option<DirectoryInfo>("--model", "-m")
        {
            HelpName = "DIR", Description = "Keep our written model in this folder, or use the model that is already there.",
        };
        const string whole = "whole number of 1 or more";
        var turns = NumberOption.Create<int>("--turns", "N", "How often each side is measured, in turn.", whole, turns => turns >= 1, 5);
        var tokens = NumberOption.Create<int>("--tokens", "N", "Tokens that a turn decodes.", whole, tokens => tokens >= 1, 24);
        var prompt = NumberOption.Create<int>(
            "--prompt-tokens", "N", "Tokens of the prompt whose prefill is timed.", "whole number from 2 to 1024",
            tokens => tokens is >= 2 and <= 1024, 192);
        var threads = NumberOption.Create<int>(
            "--threads", "N", "Threads of each side. Default: all processors.", whole, count => count >= 1);
        var seed = NumberOption.Create<int>("--seed", "N", "Seed of the random weights.", "whole number", _ => true, 1);
        var command = new RootCommand(
            "Measure our language model beside llama.cpp, in turn and in one run, with random weights of the same sizes. One JSON line "
            + "for each figure is written to standard output (figure, value, unit, against).")
        {
            geometry, weights, turns, tokens, prompt, threads, seed, model,
        };
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var chosen = parsed.GetValue(weights) is { Length: > 0 } some ? some : WeightNames;
            var request = new PeerRequest(
                Geometry.All.Single(known => known.Name == parsed.GetValue(geometry)), BenchCommand.FindShapes(),
                [.. PeerWeights.All.Where(known => chosen.Contains(known.Name))], parsed.GetValue(threads) ?? Environment.ProcessorCount,
                parsed.GetValue(turns)!.Value, parsed.GetValue(tokens)!.Value, parsed.GetValue(prompt)!.Value, parsed.GetValue(seed)!.Value)
            {
                Keep = parsed.GetValue(model)?.FullName,
            };
            await PeerRun.RunAsync(request, figure => output.WriteLineAsync(figure.ToJson()), error, TimeProvider.System, cancellation);
            return Done;
        });
        return command;
    }
}
