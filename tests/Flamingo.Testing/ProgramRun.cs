using System.Diagnostics;

namespace Flamingo.Testing;

/// <summary>A program that ran to its end, with what it wrote.</summary>
public sealed record ProgramRun(int ExitCode, string Output, string Error)
{
    /// <summary>Runs a program; cancelled, it is killed with all that it started.</summary>
    /// <param name="environment">Variables beside those of this process.</param>
    public static async Task<ProgramRun> RunAsync(
        string program, IEnumerable<string> arguments, CancellationToken cancellation, string? workingDirectory = null,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
            WorkingDirectory = workingDirectory ?? "",
        };
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1"; // no build server outlives the test
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        var error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await process.WaitForExitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new InvalidOperationException(
                $"{program} {string.Join(' ', start.ArgumentList)} did not end in time.\n{await output}\n{await error}");
        }

        return new(process.ExitCode, await output, await error);
    }

    /// <summary>The same program run, if it ended with the expected code.</summary>
    /// <exception cref="InvalidOperationException">It ended with another; the message holds all that it wrote.</exception>
    public ProgramRun MustReturn(int expected) => ExitCode == expected
        ? this
        : throw new InvalidOperationException($"The program ended with {ExitCode} and not {expected}.\n{Output}\n{Error}");
}
