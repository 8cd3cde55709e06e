using System.Globalization;
using System.Text.RegularExpressions;

namespace Flamingo.Configuration;

/// <summary>Reads and writes sizes and durations with units: <c>2GiB</c>, <c>512MB</c>, <c>100ms</c>, <c>1h30min</c>.</summary>
public static partial class Quantity
{
    private static readonly (string Name, long Bytes)[] SizeUnits =
    [
        ("PiB", 1L << 50), ("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10),
        ("Pi", 1L << 50), ("Ti", 1L << 40), ("Gi", 1L << 30), ("Mi", 1L << 20), ("Ki", 1L << 10),
        ("PB", 1_000_000_000_000_000), ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000), ("B", 1),
    ];

    private static readonly (string Name, long Ticks)[] DurationUnits =
    [
        ("d", TimeSpan.TicksPerDay), ("h", TimeSpan.TicksPerHour), ("min", TimeSpan.TicksPerMinute), ("s", TimeSpan.TicksPerSecond),
        ("ms", TimeSpan.TicksPerMillisecond), ("us", TimeSpan.TicksPerMicrosecond), ("µs", TimeSpan.TicksPerMicrosecond),
        ("day", TimeSpan.TicksPerDay), ("days", TimeSpan.TicksPerDay), ("hour", TimeSpan.TicksPerHour), ("hours", TimeSpan.TicksPerHour),
        ("m", TimeSpan.TicksPerMinute), ("minute", TimeSpan.TicksPerMinute), ("minutes", TimeSpan.TicksPerMinute),
        ("sec", TimeSpan.TicksPerSecond), ("second", TimeSpan.TicksPerSecond), ("seconds", TimeSpan.TicksPerSecond),
    ];

    /// <summary>
    /// Reads a number with a unit, or a whole number of bytes. <c>KiB</c> to <c>PiB</c> (or <c>Ki</c> to <c>Pi</c>) are powers of 1024,
    /// <c>kB</c> to <c>PB</c> are powers of 1000, in upper or lower case. A unit <c>G</c> or <c>M</c> without more letters is refused,
    /// because programs disagree on its meaning.
    /// </summary>
    /// <param name="text">The text to read.</param>
    /// <param name="bytes">The size in bytes. A fraction of a byte is dropped.</param>
    /// <returns>False if the text is not a size, or if the size is larger than a long.</returns>
    public static bool TryParseSize(string text, out long bytes)
    {
        if (long.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out bytes)) return true;
        var parts = SizeForm().Match(text);
        return parts.Success && TryMultiply(parts.Groups["number"].Value, parts.Groups["unit"].Value, SizeUnits, out bytes);
    }

    /// <summary>
    /// Reads numbers with units (<c>d h m min s ms us</c>, and the words for days to seconds), or <c>[d.]hh:mm[:ss[.fff]]</c>. A number
    /// without a unit is refused, except 0.
    /// </summary>
    /// <param name="text">The text to read.</param>
    /// <param name="duration">The duration.</param>
    /// <returns>False if the text is not a duration, or if it is longer than a <see cref="TimeSpan"/>.</returns>
    public static bool TryParseDuration(string text, out TimeSpan duration)
    {
        duration = default;
        if (text.Trim() == "0") return true;
        if (text.Contains(':')) return TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out duration);
        var parts = DurationForm().Match(text);
        if (!parts.Success) return false;
        var ticks = 0L;
        foreach (var (number, unit) in parts.Groups["number"].Captures.Zip(parts.Groups["unit"].Captures))
        {
            if (!TryMultiply(number.Value, unit.Value, DurationUnits, out var part) || part > TimeSpan.MaxValue.Ticks - ticks) return false;
            ticks += part;
        }

        duration = TimeSpan.FromTicks(ticks);
        return true;
    }

    /// <summary>Writes a size in the largest unit of 1024 that divides it, such as <c>64KiB</c>, or else as a number of bytes.</summary>
    public static string Size(long bytes)
    {
        if (bytes <= 0) return bytes.ToString(CultureInfo.InvariantCulture);
        var binary = SizeUnits.Where(unit => unit.Name.EndsWith("iB", StringComparison.Ordinal));
        var (name, unit) = binary.FirstOrDefault(unit => bytes % unit.Bytes == 0, ("", 1));
        return string.Create(CultureInfo.InvariantCulture, $"{bytes / unit}{name}");
    }

    /// <summary>Writes a duration in the largest unit that divides it, such as <c>100ms</c>.</summary>
    public static string Duration(TimeSpan duration)
    {
        if (duration == default) return "0";
        var (name, unit) = DurationUnits.FirstOrDefault(unit => duration.Ticks > 0 && duration.Ticks % unit.Ticks == 0);
        return name is null
            ? duration.ToString("c", CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"{duration.Ticks / unit}{name}");
    }

    private static bool TryMultiply(string number, string unit, (string Name, long Value)[] units, out long product)
    {
        product = 0;
        var value = units.FirstOrDefault(known => string.Equals(known.Name, unit, StringComparison.OrdinalIgnoreCase)).Value;
        var read = decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var count);
        if (!read || value == 0 || count > long.MaxValue / value) return false;
        product = (long)(count * value);
        return true;
    }

    [GeneratedRegex(@"^\s*(?<number>[0-9]+(\.[0-9]+)?)\s*(?<unit>[a-zA-Z]+)\s*$", RegexOptions.ExplicitCapture)]
    private static partial Regex SizeForm();

    [GeneratedRegex(@"^\s*((?<number>[0-9]+(\.[0-9]+)?)\s*(?<unit>[a-zA-Zµ]+)\s*)+$", RegexOptions.ExplicitCapture)]
    private static partial Regex DurationForm();
}
