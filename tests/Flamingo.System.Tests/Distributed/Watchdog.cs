using System.Diagnostics;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// Kills the hosts that a test run leaves running, however the run ends. A shell reads from a pipe, which the system closes when this
/// process ends, even by SIGKILL.
/// </summary>
internal static class Watchdog
{
    // The shell keeps a list such as " 12 34 ". "+ id" adds a host, "- id" removes it, and the end of the input ends the tests.
    private const string Script = """
        trap '' TERM INT HUP
        live=' '
        while read -r sign id; do
          case $sign in
            +) live="$live$id " ;;
            -) live="${live%%" $id "*} ${live#*" $id "}" ;;
          esac
        done
        for id in $live; do kill -KILL "$id"; done
        """;

    private static readonly Lock Writing = new();
    private static readonly StreamWriter Pipe = Open();

    public static void Watch(int process) => Write('+', process);

    public static void Release(int process) => Write('-', process);

    private static StreamWriter Open()
    {
        var shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", Script]) { RedirectStandardInput = true })!;
        shell.StandardInput.AutoFlush = true;
        return shell.StandardInput;
    }

    private static void Write(char sign, int process)
    {
        lock (Writing) Pipe.Write($"{sign} {process}\n");
    }
}
