using Flamingo.Abstractions;
using Google.Protobuf.WellKnownTypes;

namespace Flamingo.Wire;

/// <summary>Converts times. Measured times are sent as milliseconds, durations that a caller chooses as Duration messages.</summary>
public static class TimeWire
{
    public static TimeSpan Milliseconds(double value) => TimeSpan.FromTicks((long)Math.Round(value * TimeSpan.TicksPerMillisecond));

    public static Duration? ToMessage(this TimeSpan? time) => time is { } given ? Duration.FromTimeSpan(given) : null;

    /// <param name="field">Name of the field, for errors.</param>
    /// <exception cref="FlamingoException">InvalidArgument: seconds and nanoseconds have different signs or are out of range.</exception>
    public static TimeSpan? ToRecord(this Duration? message, string field)
    {
        try
        {
            return message?.ToTimeSpan();
        }
        catch (InvalidOperationException)
        {
            throw FlamingoException.Invalid(
                field, "The value is not a valid duration.", "Send seconds, and nanoseconds of the same sign below one second.");
        }
    }
}
