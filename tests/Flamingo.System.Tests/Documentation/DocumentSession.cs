using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Flamingo.Fixtures;
using Flamingo.SystemTests.Distributed;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Documentation;

/// <summary>
/// A shell that runs the blocks of one document in order, as printed. <c>dotnet run</c> is replaced by the executable that is already
/// built. The current directory contains links to the repository's files and a copy of the samples, so that commands write no files into
/// the repository. A block that starts a server runs until the session ends.
/// </summary>
internal sealed class DocumentSession : IAsyncDisposable
{
    private const int PrintedPort = 8080, PrintedHttpPort = 8081;
    private const string Serve = " -- serve", HttpPort = " --http-port 8081";

    private static readonly string[] Languages = ["bash", "csharp", "xml", "python", "json", "text"];
    private static readonly TimeSpan LongestStart = TimeSpan.FromSeconds(90);

    private readonly string _all = Directory.CreateTempSubdirectory("flamingo-documents-").FullName;
    private readonly string _folder;
    private readonly int _port = FreePort.Next();
    private readonly int _httpPort = FreePort.Next();
    private readonly List<Process> _servers = [];

    public DocumentSession()
    {
        _folder = Directory.CreateDirectory(Path.Combine(_all, "flamingo")).FullName;
        foreach (var entry in Directory.EnumerateFileSystemEntries(RepositoryFiles.Root))
        {
            var name = Path.GetFileName(entry);
            if (!name.StartsWith('.') && name is not ("artifacts" or "samples"))
                File.CreateSymbolicLink(Path.Combine(_folder, name), entry);
        }

        CopyFolder(RepositoryFiles.Path("samples"), Path.Combine(_folder, "samples")); // samples write beside themselves

        // Without them, dotnet could not be told from the real one, and another python3 on the path would not find Debian's packages.
        var programs = Directory.CreateDirectory(Path.Combine(_all, "programs")).FullName;
        WriteProgram(Path.Combine(programs, "dotnet"), Shim);
        if (PythonClient.IsInstalled)
            WriteProgram(Path.Combine(programs, "python3"), $"#!/bin/sh\nexec {PythonClient.Python} \"$@\"\n");
    }

    private static string? Project => // the project file that README.md prints is that of all programs
        DocumentBlock.Of("README.md").FirstOrDefault(block => block.Language == "xml")?.Text;

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
          "run samples/"*)
            name=$(basename "$project"/*.csproj .csproj)
            exec "{Dotnet}" "{RepositoryFiles.Path("artifacts", "bin")}/$name/{Configuration}/$name.dll" "$@" ;;
        esac
        echo "'dotnet $command' does not run here. Mark the block with <!-- not run: why -->." >&2
        exit 97
        """;

    /// <summary>Runs all blocks of a document, and compares what they print with the blocks that show it.</summary>
    public async Task RunAsync(string document, CancellationToken cancellation)
    {
        var (output, project) = ("", Project);
        foreach (var block in DocumentBlock.Of(document))
        {
            Assert.True(
                Languages.Contains(block.Language), $"{block.Where}: write one of {string.Join(", ", Languages)} behind the fence.");
            Assert.True(
                block.Mark is null || block.NotRun is not null || block.OnlyCompiled is not null || block.IsOutput,
                $"{block.Where}: '{block.Mark}' is no mark of a block.");
            if (block.NotRun is not null) continue;
            string Same(string text) => block.Except is { } except ? Regex.Replace(text.Trim(), except, "…") : text.Trim();
            switch (block.Language)
            {
                case "bash":
                    output = await RunCommandsAsync(block, cancellation);
                    break;
                case "xml":
                    project = block.Text;
                    break;
                case "csharp":
                    Assert.True(project is not null, $"{block.Where}: no project is printed that it belongs to.");
                    output = await RunProgramAsync(block, project, cancellation);
                    break;
                case "python" when PythonClient.IsInstalled:
                    output = await RunPythonAsync(block, cancellation);
                    break;
                case "python" when Environment.GetEnvironmentVariable("CI") == "true":
                    Assert.Fail($"{block.Where}: CI needs {PythonClient.Packages}.");
                    break;
                case "json":
                    JsonDocument.Parse(block.Text).Dispose();
                    break;
                case "text" when block.IsOutput:
                    Assert.Equal(Same(block.Text), Same(output));
                    break;
            }
        }
    }

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

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        RepositoryFiles.Copy(from, to);
        foreach (var folder in Directory.EnumerateDirectories(from))
        {
            if (Path.GetFileName(folder) is var name and not "node_modules") CopyFolder(folder, Path.Combine(to, name));
        }
    }

    private static void WriteProgram(string file, string text)
    {
        File.WriteAllText(file, text);
        const UnixFileMode Executable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(file, Executable);
    }

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

    // Another program may hold the printed port on this machine, and documents run at the same time.
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
