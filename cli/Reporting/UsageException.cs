namespace Flamingo.Cli.Reporting;

/// <summary>The arguments of a command are wrong. Each fault is one line that includes the remedy. The exit code is 2.</summary>
public sealed class UsageException(params IReadOnlyList<string> faults) : Exception(string.Join('\n', faults))
{
    public IReadOnlyList<string> Faults { get; } = faults;
}
