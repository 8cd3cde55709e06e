namespace Flamingo.Cli.Reporting;

/// <summary>The exit codes of the process. They are a contract with callers' scripts.</summary>
public static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int GoldenBroken = 3;

    /// <summary>Ctrl-C or another stop signal interrupted the command. Shells use the same code for SIGINT (128 + 2).</summary>
    public const int Interrupted = 130;
}
