namespace Flamingo.Wire;

/// <summary>
/// The largest gRPC message that any call may have. gRPC counts bytes in an int, and larger messages would exhaust memory first. What a
/// server accepts is less by default, see <c>Requests:MaxInFlightBytes</c>. Callers encode larger sets of pictures with several Encode
/// calls and then send their ids.
/// </summary>
public static class MessageLimits
{
    /// <summary>1 GiB, in bytes; the same on both sides of every call.</summary>
    public const int MostBytes = 1 << 30;
}
