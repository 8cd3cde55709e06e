using Flamingo.Abstractions;
using Flamingo.Stages;
using Google.Protobuf.WellKnownTypes;

namespace Flamingo.Transport.Wire;

/// <summary>Times: measured ones travel as milliseconds, given ones as durations.</summary>
internal static class TimeWire
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
            throw FlamingoException.Invalid(field, "It is no duration.", "Send seconds, and nanoseconds of the same sign below one second.");
        }
    }
}
