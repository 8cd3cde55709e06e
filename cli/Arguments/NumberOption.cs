using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace Flamingo.Cli.Arguments;

/// <summary>
/// Creates the command line's options that take numbers. Numbers are parsed the same way in every locale, with a decimal point and
/// without thousands separators. A value that is not a number or is out of range gives a one-line error that names the option, the
/// value and the expected range.
/// </summary>
public static class NumberOption
{
    /// <summary>
    /// Creates an option that takes one number from <paramref name="least"/> to <paramref name="most"/>; without these bounds it takes
    /// any number of its type.
    /// </summary>
    /// <param name="moreThan">Whether <paramref name="least"/> itself is out of range.</param>
    /// <param name="value">The option's default value; null for no default.</param>
    public static Option<T?> Create<T>(
        string name, string helpName, string description, T? least = null, T? most = null, bool moreThan = false, T? value = null)
        where T : struct, INumber<T>, IMinMaxValue<T>
    {
        var option = new Option<T?>(name) { HelpName = helpName, Description = description };
        if (value is { } given) option.DefaultValueFactory = _ => given;
        option.CustomParser = result =>
        {
            var text = result.Tokens[0].Value;
            var fits = TryRead<T>(text, out var number)
                && number <= (most ?? T.MaxValue)
                && (moreThan ? number > least : number >= (least ?? T.MinValue));
            if (!fits) AddError<T>(result, name, text, Range(least ?? (T.IsNegative(T.MinValue) ? null : T.Zero), most, moreThan));
            return fits ? number : null;
        };
        return option;
    }

    /// <summary>Creates a repeatable option that takes one number each time.</summary>
    public static Option<T[]> CreateMany<T>(string name, string helpName, string description)
        where T : struct, INumber<T>, IMinMaxValue<T> => new(name)
        {
            HelpName = helpName, Description = description,
            CustomParser = result => [.. result.Tokens.Select(token =>
            {
                if (!TryRead<T>(token.Value, out var number)) AddError<T>(result, name, token.Value, "");
                return number;
            })],
        };

    /// <summary>Parses a finite number with the invariant culture, whatever the locale of the machine is.</summary>
    public static bool TryRead<T>(string text, out T number)
        where T : struct, INumber<T>
    {
        const NumberStyles Fractions = NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        var styles = NumberStyles.AllowLeadingSign | (IsWhole<T>() ? NumberStyles.None : Fractions);
        return T.TryParse(text, styles, CultureInfo.InvariantCulture, out number) && T.IsFinite(number);
    }

    private static bool IsWhole<T>()
        where T : struct, INumber<T> => T.Zero is not (float or double);

    private static string Range<T>(T? least, T? most, bool moreThan)
        where T : struct, INumber<T> => (least, most) switch
        {
            ({ } from, { } to) when moreThan => string.Create(CultureInfo.InvariantCulture, $" above {from} and at most {to}"),
            ({ } from, { } to) => string.Create(CultureInfo.InvariantCulture, $" from {from} to {to}"),
            ({ } from, null) => string.Create(CultureInfo.InvariantCulture, $" of {from} or more"),
            _ => "",
        };

    private static void AddError<T>(ArgumentResult result, string name, string text, string range)
        where T : struct, INumber<T>
    {
        var withPoint = text.Replace(',', '.');
        var hasDecimalComma = !IsWhole<T>() && withPoint != text && TryRead<T>(withPoint, out _);
        var remedy = hasDecimalComma ? $" Use a decimal point instead of the comma: {withPoint}." : "";
        result.AddError($"{name} takes a {(IsWhole<T>() ? "whole number" : "number")}{range}, not '{text}'.{remedy}");
    }
}
