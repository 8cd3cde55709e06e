using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Modeling.Devices;

/// <summary>
/// Converts torch's errors about memory and devices into the exceptions that callers get. Only the text of the message identifies
/// the error. When memory is exhausted, the calls that are being computed fail and later calls are served. After a failure of the
/// device itself, CUDA refuses all later work, so the process must end.
/// </summary>
internal static class DeviceFault
{
    /// <summary>The exit code of a process that ends because its device failed.</summary>
    public const int ExitCode = 70;

    private static readonly string[] NoMemory = ["out of memory", "can't allocate memory", "not enough memory", "_STATUS_ALLOC_FAILED"];
    private static readonly string[] Failed =
        ["CUDA error", "CUDA driver error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "device-side assert", "AcceleratorError"];

    /// <returns>A <see cref="FlamingoException"/> that replaces an error of the device; any other exception unchanged.</returns>
    public static Exception Of(Exception exception) =>
        exception is FlamingoException or OperationCanceledException ? exception
        : Mentions(exception, NoMemory) ? new FlamingoException(
            FlamingoErrorKind.Overloaded,
            "The device has no memory left for this request. " +
            "Send it again later, or with fewer pictures, a shorter prompt or fewer samples.",
            exception) { RetryAfter = TimeSpan.FromSeconds(1) }
        : Mentions(exception, Failed) ? Lost(exception)
        : exception;

    /// <summary>Whether the process must end after this error.</summary>
    public static bool IsLost(Exception exception) =>
        exception is FlamingoException { Kind: FlamingoErrorKind.Unavailable, InnerException: { } inner } && Mentions(inner, Failed);

    private static FlamingoException Lost(Exception exception) =>
        new(FlamingoErrorKind.Unavailable, $"The device failed, and this process ends: {FirstLine(exception.Message)}", exception);

    private static bool Mentions(Exception exception, string[] words) =>
        words.Any(word => exception.Message.Contains(word, StringComparison.OrdinalIgnoreCase));

    private static string FirstLine(string message) =>
        message.AsSpan().IndexOfAny('\r', '\n') is >= 0 and var end ? message[..end] : message;
}
