using System.CommandLine;
using System.CommandLine.Parsing;

namespace Flamingo.Cli.Arguments;

/// <summary>Rules over several options of one command.</summary>
public static class CommandRules
{
    /// <summary>Adds a rule that reads the values of options and adds an error where they do not fit together.</summary>
    /// <remarks>
    /// System.CommandLine checks rules before it reads values, and reading a value that cannot be understood throws. That
    /// value's own error is recorded then and reported like every other one, so the rule has nothing to add.
    /// </remarks>
    public static void AddRule(this Command command, Action<CommandResult> rule) => command.Validators.Add(result =>
    {
        try
        {
            rule(result);
        }
        catch (InvalidOperationException) when (result.Children.Any(child => child.Errors.Any()))
        {
        }
    });
}
