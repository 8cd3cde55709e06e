namespace Flamingo.Wire;

/// <summary>
/// The largest gRPC message. A request of 64 pictures with the largest default file size (20 MiB) would take 1280 MiB, which the
/// limit excludes: gRPC counts bytes in an int, and larger messages would exhaust memory first. Callers encode larger sets of
/// pictures with several Encode calls and then send their ids.
/// </summary>
public static class MessageLimits
{
    /// <summary>1 GiB, in bytes; the same on both sides of every call.</summary>
    public const int MostBytes = 1 << 30;
}
