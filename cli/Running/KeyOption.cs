using System.CommandLine;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Running;

/// <summary>
/// The <c>--key</c> option, which every command with <c>--server</c> has, and the variable that replaces it. No message quotes the key.
/// </summary>
public static class KeyOption
{
    public const string Name = "--key", Variable = "FLAMINGO_KEY";

    public static Option<string> Create() => new(Name)
    {
        HelpName = "KEY",
        Description = $"The key that the server asks for (flm_…), or a token of its issuer. Default: the variable {Variable}, which other "
        + "users of this machine cannot see, while they can see arguments.",
    };

    /// <returns>The key; null if none is given.</returns>
    /// <exception cref="UsageException">The text cannot be a key.</exception>
    public static string? Of(ParseResult parsed)
    {
        var given = parsed.GetValue<string>(Name);
        var key = (given ?? Environment.GetEnvironmentVariable(Variable) ?? "")
            .Trim(); // a variable read from a file may end in a line break
        if (key.Any(character => character is <= ' ' or > '~'))
            throw new UsageException(
                $"{(given is null ? Variable : Name)} has a space or another character that no key has. Give the key as it was shown.");
        if (key.Length == 0 && given is not null) throw new UsageException($"{Name} is empty. Give a key, or leave the option out.");
        return key.Length == 0 ? null : key;
    }
}
