using System.CommandLine;
using System.Globalization;
using System.Numerics;

namespace Flamingo.Bench.Arguments;

/// <summary>Creates an option that takes one finite number, with a decimal point and without separators in every locale.</summary>
public static class NumberOption
{
    /// <param name="range">The allowed range in words, for the message.</param>
    /// <param name="value">The option's default value; null for no default.</param>
    public static Option<T?> Create<T>(
        string name, string helpName, string description, string range, Func<T, bool> isInRange, T? value = null)
        where T : struct, INumber<T>
    {
        var option = new Option<T?>(name) { HelpName = helpName, Description = description };
        if (value is { } given) option.DefaultValueFactory = _ => given;
        option.CustomParser = result =>
        {
            var text = result.Tokens[0].Value;
            const NumberStyles Styles = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint;
            var isNumber = T.TryParse(text, Styles, CultureInfo.InvariantCulture, out var number) && T.IsFinite(number);
            if (isNumber && isInRange(number)) return number;
            result.AddError($"{name} takes a {range}, not '{text}'.");
            return null;
        };
        return option;
    }
}
