using System.Diagnostics;

namespace Flamingo.Testing;

/// <summary>The exit code and output of a program that has ended.</summary>
public sealed record ProgramRun(int ExitCode, string Output, string Error)
{
    /// <summary>Runs a program to its end. Cancellation kills it and its child processes.</summary>
    /// <param name="environment">Environment variables in addition to those of this process.</param>
    public static async Task<ProgramRun> RunAsync(
        string program, IEnumerable<string> arguments, CancellationToken cancellation, string? workingDirectory = null,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
            WorkingDirectory = workingDirectory ?? "",
        };
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1"; // no build server may remain after the test
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

    /// <summary>Returns the path of a program on the path of this process; null if it is not installed.</summary>
    public static string? Find(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);

    /// <summary>Returns this object if the program ended with the expected exit code.</summary>
    /// <exception cref="InvalidOperationException">It ended with another code; the message contains its output.</exception>
    public ProgramRun MustReturn(int expected) => ExitCode == expected
        ? this
        : throw new InvalidOperationException($"The program ended with {ExitCode} and not {expected}.\n{Output}\n{Error}");
}
