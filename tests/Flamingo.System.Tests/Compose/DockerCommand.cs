using System.Diagnostics;

namespace Flamingo.SystemTests.Compose;

/// <summary>Runs the docker command line.</summary>
internal static class DockerCommand
{
    /// <returns>Standard output, followed by standard error if requested.</returns>
    /// <exception cref="InvalidOperationException">The command failed; the message contains the command and its output.</exception>
    public static async Task<string> RunAsync(IEnumerable<string> arguments, CancellationToken cancellation,
        IReadOnlyDictionary<string, string>? environment = null, bool withError = false)
    {
        var start = new ProcessStartInfo("docker", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(CancellationToken.None),
            process.StandardError.ReadToEndAsync(CancellationToken.None));
        try
        {
            await process.WaitForExitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new InvalidOperationException($"docker {string.Join(' ', start.ArgumentList)} was given "
                + $"up.\n{await output}\n{await error}");
        }

        if (process.ExitCode != 0)
            throw new InvalidOperationException($"docker {string.Join(' ', start.ArgumentList)} ended with "
                + $"{process.ExitCode}.\n{await output}\n{await error}");
        return withError ? await output + await error : await output;
    }

    public static Task<string> RunAsync(CancellationToken cancellation, params string[] arguments) => RunAsync(arguments, cancellation);
}
