using System.Diagnostics;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Tests.Running;

/// <summary>The exit code and output of a finished command.</summary>
public sealed record Finished(int ExitCode, string Output, string Error)
{
    /// <summary>Asserts the exit code; a failure shows the output of the command.</summary>
    public Finished MustReturn(int exitCode)
    {
        Assert.True(ExitCode == exitCode, $"exit code {ExitCode} where {exitCode} was expected\n{Output}\n{Error}");
        Assert.DoesNotContain("   at ", Error, StringComparison.Ordinal);
        return this;
    }
}

/// <summary>Runs the command line for tests.</summary>
public static class FlamingoCommand
{
    /// <summary>Runs a command in this process and captures its output.</summary>
    public static Task<Finished> RunAsync(params string[] args) => RunAsync(new UserInput(TextReader.Null, IsTerminal: false), args);

    /// <summary>Runs a command in this process with lines of input.</summary>
    public static async Task<Finished> RunAsync(UserInput input, params string[] args)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var exitCode = await CommandLine.RunAsync(args, output, error, TestContext.Current.CancellationToken, input);
        return new Finished(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Runs a command as a child process in its own folder, which has no models.</summary>
    public static Task<Finished> SpawnAsync(string folder, params string[] args) => SpawnAsync(folder, "", args);

    /// <summary>Runs a command as a child process with a text on standard input, which is a pipe.</summary>
    public static Task<Finished> SpawnAsync(string folder, string input, string[] args) => SpawnAsync(folder, input, [], args);

    /// <summary>Runs a command as a child process with further variables in its environment.</summary>
    public static async Task<Finished> SpawnAsync(
        string folder, string input, Dictionary<string, string> variables, string[] args)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "flamingo.dll"), .. args])
        {
            WorkingDirectory = folder, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        foreach (var (name, value) in variables) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        try
        {
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return new Finished(process.ExitCode, await output, await error);
    }
}
