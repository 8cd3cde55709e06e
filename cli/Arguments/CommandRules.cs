using System.CommandLine;
using System.CommandLine.Parsing;

namespace Flamingo.Cli.Arguments;

/// <summary>Validation rules that involve several options of one command.</summary>
public static class CommandRules
{
    /// <summary>Adds a rule that reads the values of options and adds an error where these values exclude each other.</summary>
    /// <remarks>
    /// System.CommandLine runs rules before it parses values, and reading a value that cannot be parsed throws. The parser has then
    /// already recorded an error for that value, which is reported like every other error, so the rule does not add a second one.
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
