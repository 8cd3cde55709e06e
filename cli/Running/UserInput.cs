namespace Flamingo.Cli.Running;

/// <summary>The source of the user's lines.</summary>
/// <param name="IsTerminal">
/// Whether a person types the lines. If so, the command shows a prompt sign, and reports an error without ending.
/// </param>
public sealed record UserInput(TextReader Lines, bool IsTerminal)
{
    /// <summary>
    /// Standard input. This is a property, and not a default value, because the first access to <see cref="Console.In"/> changes the
    /// settings of a terminal.
    /// </summary>
    public static UserInput Standard => new(Console.In, !Console.IsInputRedirected);

    /// <returns>The next line; null at the end. Cancellation ends the wait, but the pending read continues and its line is lost.</returns>
    public Task<string?> ReadLineAsync(CancellationToken cancellation) => Task.Run(Lines.ReadLine, cancellation).WaitAsync(cancellation);
}
