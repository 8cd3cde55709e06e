namespace Flamingo.Wire;

/// <summary>
/// The largest message that travels: 64 pictures, each as large as a file may be by default (20 MiB), would be 1280 MiB;
/// gRPC counts in int, and one message of a gigabyte is where memory ends before the limit does. Larger sets of pictures
/// go through Encode in parts, and then by id.
/// </summary>
public static class MessageLimits
{
    /// <summary>1 GiB, in bytes; the same on both sides of every call.</summary>
    public const int MostBytes = 1 << 30;
}
