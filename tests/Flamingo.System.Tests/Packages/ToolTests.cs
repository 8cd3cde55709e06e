using System.Diagnostics;
using System.IO.Compression;
using System.Runtime.InteropServices;
using Flamingo.Fixtures;
using Flamingo.SystemTests.Distributed;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Packages;

/// <summary>
/// The command line as a dotnet tool: packed, installed from a folder feed, and run in a folder outside of the repository, where it
/// finds the small model without a path.
/// </summary>
public sealed class ToolTests : IDisposable
{
    private const string Answer = "a large white star above a large green ring";

    private readonly string _all = Directory.CreateTempSubdirectory("flamingo-tool-").FullName;
    private readonly string _dotnet = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));

    public void Dispose() => Directory.Delete(_all, recursive: true);

    [Fact(Timeout = 300_000)]
    public async Task The_installed_tool_captions_generates_and_serves_with_the_model_that_comes_along()
    {
        var (feed, tools, elsewhere) = (Folder("feed"), Path.Combine(_all, "tools"), Folder("elsewhere"));
        var build = new DirectoryInfo(AppContext.BaseDirectory).Name; // debug or release
        await DotnetAsync(
            "pack", RepositoryFiles.Path("cli"), "--no-build", "-c", char.ToUpperInvariant(build[0]) + build[1..], "-o", feed);
        using (var package = ZipFile.OpenRead(Assert.Single(Directory.EnumerateFiles(feed))))
        {
            var files = package.Entries.Select(entry => entry.FullName).ToList();
            foreach (var file in new[] { "LICENSE", "NOTICE", "README.md" }) Assert.Contains(file, files);
            Assert.Contains(files, file => file.EndsWith("licences/libtorch-cpu-linux-x64/LICENSE-LIBTORCH.txt", StringComparison.Ordinal));
        }

        var settings = Path.Combine(_all, "nuget.config");
        await File.WriteAllTextAsync(settings, $"""
            <configuration><packageSources><clear /><add key="feed" value="{feed}" /></packageSources></configuration>
            """, TestContext.Current.CancellationToken);
        await DotnetAsync("tool", "install", "flamingo", "--tool-path", tools, "--configfile", settings);
        var command = Path.Combine(tools, "flamingo");
        var model = Path.GetDirectoryName(Assert.Single(Directory.EnumerateFiles(tools, "flamingo.json", SearchOption.AllDirectories)))!;
        var picture = Path.Combine(elsewhere, "picture.png");
        File.Copy(Path.Combine(model, "examples", "caption-query.png"), picture);

        // The requirement of a newer libstdc++ is weakened in what is installed too.
        const string Natives = "libLibTorchSharp.so";
        Assert.Equal(
            await File.ReadAllBytesAsync(Path.Combine(AppContext.BaseDirectory, Natives), TestContext.Current.CancellationToken),
            await File.ReadAllBytesAsync(Path.Combine(model, "..", "..", Natives), TestContext.Current.CancellationToken));

        Assert.Equal(Answer, (await RunAsync(command, elsewhere, "caption", "picture.png")).Trim());
        Assert.Equal("pilu", (await RunAsync(
            command, elsewhere, "generate", "--prompt", Path.Combine(model, "examples", "new-word.json"))).Trim());
        await using (var server = await Server.StartAsync(command, elsewhere, Environment()))
            Assert.Equal(Answer, (await RunAsync(command, elsewhere, "caption", "picture.png", "--server", server.Address)).Trim());

        // Without installing it, as dnx does.
        Assert.Equal(Answer, (await RunAsync(
            Path.Combine(_dotnet, "dotnet"), elsewhere,
            "tool", "exec", "flamingo", "--configfile", settings, "--yes", "--", "caption", "picture.png")).Trim().Split('\n')[^1]);
    }

    private string Folder(string name) => Directory.CreateDirectory(Path.Combine(_all, name)).FullName;

    // Programs of the test host must not decide which .NET runs the tool, and nothing is left in the user's folder of packages.
    private Dictionary<string, string> Environment() => new()
    {
        ["DOTNET_ROOT"] = _dotnet, ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1", ["DOTNET_NOLOGO"] = "1",
        ["NUGET_PACKAGES"] = Path.Combine(_all, "packages"),
    };

    private async Task DotnetAsync(params string[] arguments)
    {
        var environment = Environment();
        if (arguments[0] == "pack") environment.Remove("NUGET_PACKAGES"); // it packs what was restored
        (await ProgramRun.RunAsync(
            Path.Combine(_dotnet, "dotnet"), arguments, TestContext.Current.CancellationToken, _all, environment)).MustReturn(0);
    }

    private async Task<string> RunAsync(string program, string folder, params string[] arguments) =>
        (await ProgramRun.RunAsync(program, arguments, TestContext.Current.CancellationToken, folder, Environment())).MustReturn(0).Output;

    /// <summary>The installed tool as a server. Disposing it kills it.</summary>
    private sealed class Server(Process process, int port) : IAsyncDisposable
    {
        public string Address => $"http://localhost:{port}";

        public static async Task<Server> StartAsync(string command, string folder, Dictionary<string, string> environment)
        {
            var port = FreePort.Next();
            var start = new ProcessStartInfo(
                command, ["serve", "--grpc-port", $"{port}", "--http-port", $"{FreePort.Next()}", "--Endpoints:Listen=loopback"])
            {
                WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true,
            };
            foreach (var (name, value) in environment) start.Environment[name] = value;
            var process = Process.Start(start)!;
            Watchdog.Watch(process.Id);
            var (lines, ready) = (new List<string>(), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
            process.OutputDataReceived += (_, line) => Hear(line.Data);
            process.ErrorDataReceived += (_, line) => Hear(line.Data);
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            var server = new Server(process, port);
            var ended = process.WaitForExitAsync(TestContext.Current.CancellationToken);
            if (await Task.WhenAny(ready.Task, ended) == ready.Task) return server;
            await server.DisposeAsync();
            lock (lines) throw new InvalidOperationException($"The tool does not serve.\n{string.Join('\n', lines)}");

            void Hear(string? line)
            {
                if (line is null) return;
                lock (lines) lines.Add(line);
                if (line.Contains("serves gRPC", StringComparison.Ordinal)) ready.TrySetResult();
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            Watchdog.Release(process.Id);
            process.Dispose();
        }
    }
}
