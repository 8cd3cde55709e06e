using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A host as in production: a separate process with options in environment variables, which reacts to signals.</summary>
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

    /// <summary>Memory that the process occupies now, in bytes.</summary>
    public long Memory
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    public string Address => $"http://localhost:{Port}";

    /// <summary>The most main memory that the host has held since it started, in bytes.</summary>
    public long PeakMemory => 1024 * long.Parse(
        File.ReadLines($"/proc/{_process.Id}/status").Single(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    /// <summary>The output on standard error.</summary>
    public string Error
    {
        get
        {
            lock (_lock) return string.Join('\n', _error);
        }
    }

    /// <summary>All lines of both outputs so far.</summary>
    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (_lock) return [.. _output, .. _error];
        }
    }

    /// <param name="service">VisionEncoder, Resampler, LanguageModel or Gateway.</param>
    /// <param name="options">Environment variables <c>Section__Option</c>, which override the default ones.</param>
    public static HostProcess Start(
        string service, int port, IEnumerable<(string Option, string Value)> options, params string[] arguments) =>
        Start(null, service, port, options, arguments);

    /// <summary>Starts a host in another folder than the program's.</summary>
    public static HostProcess Start(
        string? workingDirectory, string service, int port, IEnumerable<(string Option, string Value)> options,
        params string[] arguments) =>
        StartOf("", workingDirectory, service, port, options, arguments);

    /// <summary>Starts a host of another build.</summary>
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

    /// <summary>Waits until the host serves requests.</summary>
    /// <exception cref="InvalidOperationException">The host ended; the message contains its output.</exception>
    public Task ReadyAsync() => SaidAsync("Application started");

    /// <summary>Waits until so many lines of the output contain the words.</summary>
    public async Task SaidAsync(string words, int lines = 1)
    {
        while (true)
        {
            Task spoken;
            lock (_lock)
            {
                if (_output.Count(line => line.Contains(words, StringComparison.Ordinal)) >= lines) return;
                spoken = _spoken.Task;
            }

            if (await Task.WhenAny(spoken, _process.WaitForExitAsync()).WaitAsync(Patience) != spoken)
                throw new InvalidOperationException($"It never said '{words}'.\n{Report()}");
        }
    }

    /// <returns>The exit code, after the host has ended by itself and its output was read completely.</returns>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience);
        return _process.ExitCode;
    }

    /// <summary>Sends SIGTERM.</summary>
    public void AskToStop() => Signal(Terminate);

    /// <summary>Suspends the host until it is resumed or killed; its sockets stay open.</summary>
    public void Freeze() => Signal(Stop);

    public void Resume() => Signal(Continue);

    /// <summary>Sends SIGKILL to the host and its child processes.</summary>
    public async Task KillAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync().WaitAsync(Patience);
    }

    public string Report()
    {
        var state = _process.HasExited ? $"exited with {_process.ExitCode}" : "running";
        lock (_lock) return $"--- {_name} on {Port}, {state}\n{string.Join('\n', _output.TakeLast(60).Concat(_error))}";
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        Watchdog.Release(_process.Id);
        _process.Dispose();
    }

    private void Signal(int signal)
    {
        if (SendSignal(_process.Id, signal) != 0)
            throw new InvalidOperationException($"{_name} took no signal {signal}: errno {Marshal.GetLastPInvokeError()}.\n{Report()}");
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
