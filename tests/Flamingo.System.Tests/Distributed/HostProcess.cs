using System.Diagnostics;
using System.Runtime.InteropServices;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A host as it runs in production: its own process, told by environment variables, answering to signals.</summary>
public sealed class HostProcess : IAsyncDisposable
{
    private const int Stop = 19, Continue = 18, Terminate = 15; // Linux
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly string _name;
    private readonly Lock _lock = new();
    private readonly List<string> _output = [], _error = [];
    private TaskCompletionSource _spoken = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private HostProcess(Process process, string name, int port)
    {
        (_process, _name, Port) = (process, name, port);
        Watchdog.Watch(process.Id);
        process.OutputDataReceived += (_, line) => Hear(_output, line.Data);
        process.ErrorDataReceived += (_, line) => Hear(_error, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public int Port { get; }

    public string Address => $"http://localhost:{Port}";

    /// <summary>What it wrote to standard error.</summary>
    public string Error
    {
        get
        {
            lock (_lock) return string.Join('\n', _error);
        }
    }

    /// <param name="service">VisionEncoder, Resampler, LanguageModel or Gateway.</param>
    /// <param name="options">As environment variables, <c>Section__Option</c>; they win over the usual ones.</param>
    public static HostProcess Start(
        string service, int port, IEnumerable<(string Option, string Value)> options, params string[] arguments) =>
        Start(null, service, port, options, arguments);

    /// <summary>The same in another folder than the program's own.</summary>
    public static HostProcess Start(
        string? workingDirectory, string service, int port, IEnumerable<(string Option, string Value)> options, params string[] arguments) =>
        StartOf("", workingDirectory, service, port, options, arguments);

    /// <summary>The same of another build.</summary>
    /// <param name="build">Folder below artifacts, for example imagesharp; empty for the default build.</param>
    public static HostProcess StartOf(
        string build, string? workingDirectory, string service, int port, IEnumerable<(string Option, string Value)> options,
        params string[] arguments)
    {
        var name = $"Flamingo.{service}.Host";
        var folder = RepositoryFiles.Path("artifacts", build, "bin", name, new DirectoryInfo(AppContext.BaseDirectory).Name);
        var start = new ProcessStartInfo("dotnet", [Path.Combine(folder, $"{name}.dll"), .. arguments])
        {
            WorkingDirectory = workingDirectory ?? folder, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        (string, string)[] usual =
        [
            ("Endpoints__GrpcPort", $"{port}"), ("Endpoints__Listen", "loopback"),
            ("Model__Directory", RepositoryFiles.Path("models", "shapes")), ("Model__Threads", "1"),
        ];
        foreach (var (option, value) in usual.Concat(options)) start.Environment[option] = value;
        return new HostProcess(Process.Start(start)!, name, port);
    }

    /// <summary>Until it serves.</summary>
    /// <exception cref="InvalidOperationException">It ended instead; with all that it wrote.</exception>
    public Task ReadyAsync() => SaidAsync("Application started");

    /// <summary>Until a line of its output contains the words.</summary>
    public async Task SaidAsync(string words)
    {
        while (true)
        {
            Task spoken;
            lock (_lock)
            {
                if (_output.Any(line => line.Contains(words, StringComparison.Ordinal))) return;
                spoken = _spoken.Task;
            }

            if (await Task.WhenAny(spoken, _process.WaitForExitAsync()).WaitAsync(Patience) != spoken) throw new InvalidOperationException($"It never said '{words}'.\n{Report()}");
        }
    }

    /// <returns>Its exit code, once it has ended by itself and all its output is here.</returns>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience);
        return _process.ExitCode;
    }

    /// <summary>The polite signal, SIGTERM.</summary>
    public void AskToStop() => Signal(Terminate);

    /// <summary>Stands still, sockets open, until it is resumed or killed.</summary>
    public void Freeze() => Signal(Stop);

    public void Resume() => Signal(Continue);

    /// <summary>SIGKILL, to it and to whatever it started.</summary>
    public async Task KillAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync().WaitAsync(Patience);
    }

    public string Report()
    {
        lock (_lock) return $"--- {_name} on {Port}, {(_process.HasExited ? $"exited with {_process.ExitCode}" : "running")}\n{string.Join('\n', _output.TakeLast(60).Concat(_error))}";
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        Watchdog.Release(_process.Id);
        _process.Dispose();
    }

    private void Signal(int signal)
    {
        if (SendSignal(_process.Id, signal) != 0) throw new InvalidOperationException($"{_name} took no signal {signal}: errno {Marshal.GetLastPInvokeError()}.\n{Report()}");
    }

    private void Hear(List<string> lines, string? line)
    {
        if (line is null) return;
        lock (_lock)
        {
            lines.Add(line);
            _spoken.TrySetResult();
            _spoken = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static extern int SendSignal(int process, int signal);
}
