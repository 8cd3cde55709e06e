using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Flamingo.Cli.Tests.Serving;

/// <summary>A command that runs as a child process with its own environment and folder, and receives signals.</summary>
internal sealed class SpawnedCommand : IAsyncDisposable
{
    private const int Interrupt = 2; // Linux
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Lock _lock = new();
    private string _output = "", _error = "";
    private TaskCompletionSource _said = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private SpawnedCommand(Process process)
    {
        _process = process;
        Listening = Task.WhenAll(
            ListenAsync(process.StandardOutput, text => _output += text), ListenAsync(process.StandardError, text => _error += text));
    }

    private Task Listening { get; }

    public string Error
    {
        get
        {
            lock (_lock) return _error;
        }
    }

    /// <param name="environment">Environment variables, with names such as <c>Section__Key</c>.</param>
    public static SpawnedCommand Start(string folder, IEnumerable<(string Name, string Value)> environment, params string[] args)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "flamingo.dll"), .. args])
        {
            WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return new SpawnedCommand(Process.Start(start)!);
    }

    /// <summary>Waits until the output of both streams contains the words.</summary>
    public async Task<string> SaidAsync(string words)
    {
        while (true)
        {
            Task said;
            lock (_lock)
            {
                if ((_output + _error).Contains(words, StringComparison.Ordinal)) return _output + _error;
                said = _said.Task;
            }

            var first = await Task.WhenAny(said, Listening).WaitAsync(Patience, TestContext.Current.CancellationToken);
            if (first == Listening && !said.IsCompleted) Assert.Fail($"It never said '{words}'.\n{_output}\n{_error}");
        }
    }

    /// <summary>Sends SIGINT, the signal of Ctrl-C.</summary>
    public void CtrlC() => Assert.Equal(0, SendSignal(_process.Id, Interrupt));

    /// <returns>The exit code, after all output has been read.</returns>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience, TestContext.Current.CancellationToken);
        await Listening;
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private async Task ListenAsync(StreamReader stream, Action<string> append)
    {
        var buffer = new char[1024];
        while (await stream.ReadAsync(buffer) is var count and > 0)
        {
            lock (_lock)
            {
                append(new string(buffer, 0, count));
                _said.TrySetResult();
                _said = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static extern int SendSignal(int process, int signal);
}
