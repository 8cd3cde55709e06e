using Flamingo.Fixtures;
using System.Diagnostics;
using System.Net.Sockets;
using Flamingo.SystemTests.Distributed;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Documentation;

/// <summary>
/// A shell that runs the blocks of one document in order, as printed. <c>dotnet run</c> is replaced by the executable that is already
/// built. The current directory contains links to the repository's files, so that commands write no files into the repository. A block
/// that starts a server runs until the session ends.
/// </summary>
internal sealed class DocumentSession : IAsyncDisposable
{
    private const int PrintedPort = 8080, PrintedHttpPort = 8081;
    private const string Serve = " -- serve", HttpPort = " --http-port 8081";

    private static readonly TimeSpan LongestStart = TimeSpan.FromSeconds(90);

    private readonly string _all = Directory.CreateTempSubdirectory("flamingo-documents-").FullName;
    private readonly string _folder;
    private readonly int _port = IsFree(PrintedPort) ? PrintedPort : FreePort.Next();
    private readonly int _httpPort = IsFree(PrintedHttpPort) ? PrintedHttpPort : FreePort.Next();
    private readonly List<Process> _servers = [];

    public DocumentSession()
    {
        _folder = Directory.CreateDirectory(Path.Combine(_all, "flamingo")).FullName;
        foreach (var entry in Directory.EnumerateFileSystemEntries(RepositoryFiles.Root))
        {
            var name = Path.GetFileName(entry);
            if (!name.StartsWith('.') && name != "artifacts") File.CreateSymbolicLink(Path.Combine(_folder, name), entry);
        }

        // Without it, dotnet could not be told from the real one.
        var programs = Directory.CreateDirectory(Path.Combine(_all, "programs")).FullName;
        var shim = Path.Combine(programs, "dotnet");
        File.WriteAllText(shim, Shim);
        const UnixFileMode Executable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(shim, Executable);
    }

    private static string Configuration => new DirectoryInfo(AppContext.BaseDirectory).Name; // debug or release

    private static string Dotnet => Path.Combine(
        Path.GetDirectoryName(Environment.ProcessPath) is { } folder && File.Exists(Path.Combine(folder, "dotnet"))
            ? folder : Environment.GetEnvironmentVariable("DOTNET_ROOT") ?? "/usr/share/dotnet", "dotnet");

    // Executes what `dotnet run --project P -- ARGUMENTS` would build first.
    private static string Shim => $"""
        #!/usr/bin/env bash
        command=$1; shift
        while [ "$command" = run ] && [ $# -gt 0 ] && [ "$1" != -- ]; do
          case "$1" in
            --project) project=$2; shift 2 ;;
            -c) shift 2 ;;
            *) break ;;
          esac
        done
        [ "$1" = -- ] && shift
        case "$command $project" in
          "run cli") exec "{Dotnet}" "{Built("Flamingo.Cli", "flamingo")}" "$@" ;;
          "run bench/Flamingo.Bench") exec "{Dotnet}" "{Built("Flamingo.Bench", "Flamingo.Bench")}" "$@" ;;
        esac
        echo "'dotnet $command' does not run here. Mark the block with <!-- not run: why -->." >&2
        exit 97
        """;

    /// <returns>Standard output.</returns>
    /// <exception cref="InvalidOperationException">The block failed; the message contains its output.</exception>
    public async Task<string> RunCommandsAsync(DocumentBlock block, CancellationToken cancellation)
    {
        if (block.Text.Contains(Serve, StringComparison.Ordinal))
        {
            await ServeAsync(block, cancellation);
            return "";
        }

        string[] shell = ["-euo", "pipefail", "-c", AtPort(block.Text)];
        var run = await ProgramRun.RunAsync("bash", shell, cancellation, _folder, ProgramEnvironment);
        return run.ExitCode == 0 ? run.Output : throw Failed(block, run);
    }

    /// <summary>Builds a program with the project file in the document, and runs it unless its mark gives a reason not to.</summary>
    /// <param name="project">The project file as printed; a path that begins with <c>../flamingo/</c> leads into the repository.</param>
    /// <returns>Standard output.</returns>
    public async Task<string> RunProgramAsync(DocumentBlock block, string project, CancellationToken cancellation)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_all, $"ask-{block.Line}")).FullName;
        var file = project.Replace("../flamingo/", RepositoryFiles.Root + "/", StringComparison.Ordinal);
        await File.WriteAllTextAsync(Path.Combine(folder, "ask.csproj"), file, cancellation);
        await File.WriteAllTextAsync(Path.Combine(folder, "Program.cs"), AtPort(block.Text), cancellation);
        string[] build = ["build", "-v", "quiet", "-c", Configuration, "-p:BuildProjectReferences=false", "-warnaserror", folder];
        var built = await ProgramRun.RunAsync(Dotnet, build, cancellation);
        if (built.ExitCode != 0) throw Failed(block, built);
        if (block.OnlyCompiled is not null) return "";
        var run = await ProgramRun.RunAsync(Dotnet, [
            Path.Combine(folder, "bin", Configuration, "net10.0", "ask.dll")], cancellation, _folder);
        return run.ExitCode == 0 ? run.Output : throw Failed(block, run);
    }

    /// <summary>Runs a Python program, see <see cref="PythonClient"/>.</summary>
    /// <returns>Standard output.</returns>
    public async Task<string> RunPythonAsync(DocumentBlock block, CancellationToken cancellation)
    {
        var run = await PythonClient.RunAsync(AtPort(block.Text), _folder, cancellation);
        return run.ExitCode == 0 ? run.Output : throw Failed(block, run);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers)
        {
            server.Kill(entireProcessTree: true);
            await server.WaitForExitAsync();
            Watchdog.Release(server.Id);
            server.Dispose();
        }

        Directory.Delete(_all, recursive: true);
    }

    private Dictionary<string, string> ProgramEnvironment => new()
    {
        ["PATH"] = $"{_all}/programs:{Environment.GetEnvironmentVariable("PATH")}",
        ["Endpoints__GrpcPort"] = $"{_port}",
        ["Endpoints__Listen"] = "loopback",
    };

    private static string Built(string project, string assembly) =>
        RepositoryFiles.Path("artifacts", "bin", project, Configuration, assembly + ".dll");

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(System.Net.IPAddress.Any, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static InvalidOperationException Failed(DocumentBlock block, ProgramRun run) =>
        new($"{block.Where} ended with {run.ExitCode}:\n{block.Text}\n--- standard output\n{run.Output}\n--- standard error\n{run.Error}");

    // Another program may hold the printed port on this machine.
    private string AtPort(string text) =>
        text.Replace($"localhost:{PrintedPort}", $"localhost:{_port}", StringComparison.Ordinal)
            .Replace($"localhost:{PrintedHttpPort}", $"localhost:{_httpPort}", StringComparison.Ordinal)
            .Replace(HttpPort, $" --http-port {_httpPort}", StringComparison.Ordinal);

    private async Task ServeAsync(DocumentBlock block, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo("bash", ["-c", $"exec {AtPort(block.Text)}"])
        {
            WorkingDirectory = _folder, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        foreach (var (name, value) in ProgramEnvironment) start.Environment[name] = value;
        var server = Process.Start(start)!;
        _servers.Add(server);
        Watchdog.Watch(server.Id);
        var output = server.StandardOutput.ReadToEndAsync(CancellationToken.None);
        var error = server.StandardError.ReadToEndAsync(CancellationToken.None);
        var started = Stopwatch.StartNew();
        while (IsFree(_port) || (block.Text.Contains(HttpPort, StringComparison.Ordinal) && IsFree(_httpPort)))
        {
            if (server.HasExited || started.Elapsed > LongestStart)
            {
                server.Kill(entireProcessTree: true);
                throw Failed(block, new(-1, await output, await error));
            }

            await Task.Delay(100, cancellation);
        }
    }
}
