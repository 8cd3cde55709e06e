using Flamingo.Abstractions;
using Google.Protobuf.WellKnownTypes;

namespace Flamingo.Wire;

/// <summary>Times: what was measured travels as milliseconds, what a caller chooses as a duration.</summary>
public static class TimeWire
{
    public static TimeSpan Milliseconds(double value) => TimeSpan.FromTicks((long)Math.Round(value * TimeSpan.TicksPerMillisecond));

    public static Duration? ToMessage(this TimeSpan? time) => time is { } given ? Duration.FromTimeSpan(given) : null;

    /// <param name="field">Name for errors.</param>
    /// <exception cref="FlamingoException">InvalidArgument: seconds and nanoseconds of different signs or beyond their range.</exception>
    public static TimeSpan? ToRecord(this Duration? message, string field)
    {
        try
        {
            return message?.ToTimeSpan();
        }
        catch (InvalidOperationException)
        {
            throw FlamingoException.Invalid(
                field, "It is no duration.", "Send seconds, and nanoseconds of the same sign below one second.");
        }
    }
}
