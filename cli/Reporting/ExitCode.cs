namespace Flamingo.Cli.Reporting;

/// <summary>What the process returns; scripts outside depend on these numbers.</summary>
public static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int GoldenBroken = 3;

    /// <summary>Ctrl-C, or another signal to stop, before the command was done; as shells say it of SIGINT.</summary>
    public const int Interrupted = 130;
}
