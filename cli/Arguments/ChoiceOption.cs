using System.CommandLine;

namespace Flamingo.Cli.Arguments;

/// <summary>Restricts an option to a fixed list of values.</summary>
public static class ChoiceOption
{
    /// <summary>Rejects every value outside of the list, and offers the list for completion in shells.</summary>
    public static Option<string> MustBeOneOf(this Option<string> option, params string[] values)
    {
        option.CompletionSources.Add(values);
        option.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => !values.Contains(token.Value)))
                result.AddError($"{option.Name} takes {string.Join(", ", values[..^1])} or {values[^1]}, not '{token.Value}'.");
        });
        return option;
    }
}
