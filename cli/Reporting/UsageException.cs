namespace Flamingo.Cli.Reporting;

/// <summary>The command cannot be carried out as it was written; each fault is one line with its remedy. Exit code 2.</summary>
public sealed class UsageException(params IReadOnlyList<string> faults) : Exception(string.Join('\n', faults))
{
    public IReadOnlyList<string> Faults { get; } = faults;
}
