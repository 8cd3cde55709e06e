namespace Flamingo.Cli.Reporting;

/// <summary>What the process returns; scripts outside depend on these numbers.</summary>
public static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int GoldenBroken = 3;
}
