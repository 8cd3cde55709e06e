using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace Flamingo.Cli.Arguments;

/// <summary>
/// Every option of the command line that takes numbers. They are read alike in every locale, with a decimal point and
/// without separators of thousands; a value that is no number or out of range is one line that names the option, the
/// value and what is expected.
/// </summary>
public static class NumberOption
{
    /// <summary>
    /// An option that takes one number from <paramref name="least"/> to <paramref name="most"/>; without them, any number of its type.
    /// </summary>
    /// <param name="moreThan">Whether <paramref name="least"/> itself is out of range.</param>
    /// <param name="value">What the option has where it is not given; null: nothing.</param>
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

    /// <summary>A repeatable option that takes one number each time.</summary>
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

    /// <summary>Reads a finite number as the command line writes it, whatever the locale.</summary>
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
        var pointed = text.Replace(',', '.');
        var comma = !IsWhole<T>() && pointed != text && TryRead<T>(pointed, out _);
        var remedy = comma ? $" Write the decimal comma as a point: {pointed}." : "";
        result.AddError($"{name} takes a {(IsWhole<T>() ? "whole number" : "number")}{range}, not '{text}'.{remedy}");
    }
}
