namespace Flamingo.Cli.Running;

/// <summary>Where a user's lines come from.</summary>
/// <param name="IsTerminal">Somebody types them: a sign says that it is his turn, and a fault is told and ends nothing.</param>
public sealed record UserInput(TextReader Lines, bool IsTerminal)
{
    /// <summary>Not touched before it is read from: on a terminal that alone changes its settings.</summary>
    public static UserInput Standard => new(Console.In, !Console.IsInputRedirected);

    /// <returns>Null at the end. A line that is waited for is left behind when cancelled.</returns>
    public Task<string?> ReadLineAsync(CancellationToken cancellation) => Task.Run(Lines.ReadLine, cancellation).WaitAsync(cancellation);
}
