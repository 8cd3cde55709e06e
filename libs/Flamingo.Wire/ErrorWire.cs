using System.Globalization;
using System.Net.Sockets;
using Flamingo.Abstractions;
using Google.Rpc;
using Grpc.Core;

namespace Flamingo.Wire;

/// <summary>
/// Converts <see cref="FlamingoException"/> to a gRPC status with rich details, and back.
/// </summary>
public static class ErrorWire
{
    private static readonly SocketError[] BrokenConnection =
        [SocketError.ConnectionReset, SocketError.ConnectionAborted, SocketError.Shutdown];

    /// <summary>Converts an exception to a status whose data stay below 4 KiB together; what does not fit is cut or counted.</summary>
    public static RpcException ToRpcException(this FlamingoException exception) => ErrorDetails.Of(exception).ToRpcException();

    /// <param name="peer">Name of the service that was called, for messages.</param>
    /// <param name="remedy">One sentence that says what to do if the service cannot be reached.</param>
    public static FlamingoException ToFlamingoException(this RpcException exception, string peer, string remedy = "")
    {
        var status = exception.GetRpcStatus();
        var info = status?.GetDetail<ErrorInfo>();
        if (status is null || info?.Domain != ErrorDetails.Domain || !System.Enum.TryParse<FlamingoErrorKind>(info.Reason, out var kind))
        {
            var unreached = WhyNotReached(exception) is { } reason ? $"{peer} cannot be reached: {reason}. {remedy}".TrimEnd() : null;
            return new FlamingoException(KindOf(exception), unreached ?? $"{peer}: {DetailOf(exception)}", exception);
        }

        var missing = status.Details.Where(detail => detail.Is(ResourceInfo.Descriptor)).Select(detail => detail.Unpack<ResourceInfo>())
            .ToList();
        var ids = ErrorDetails.IdsOf(status);
        return new FlamingoException(kind, status.Message, exception)
        {
            Faults = [.. status.GetDetail<BadRequest>()?.FieldViolations.Select(ToFault) ?? []],
            Missing = ids is { Ids.Count: > 0 } all ? all.Ids : [.. missing.Select(resource => resource.ResourceName)],
            IsAnyMissing = ids?.All ?? false,
            MissingResource = missing.FirstOrDefault()?.ResourceType ?? FlamingoException.Picture,
            RetryAfter = status.GetDetail<RetryInfo>()?.RetryDelay.ToTimeSpan(),
        };
    }

    /// <returns>The value of HTTP's header Retry-After: whole seconds, at least 1.</returns>
    public static string RetrySeconds(TimeSpan pause) =>
        Math.Max(1, Math.Ceiling(pause.TotalSeconds)).ToString(CultureInfo.InvariantCulture);

    /// <returns>The operating system's reason why no connection could be made; null if there was a connection.</returns>
    public static string? WhyNotReached(this RpcException exception)
    {
        var inner = exception.Status.DebugException;
        while (inner is not (null or SocketException)) inner = inner.InnerException;
        return inner is SocketException socket && !BrokenConnection.Contains(socket.SocketErrorCode) ? socket.Message : null;
    }

    // The remedy is the last line of the description. The problem may contain line breaks, because it may quote a caller's text.
    private static FieldFault ToFault(BadRequest.Types.FieldViolation violation)
    {
        var (text, end) = (violation.Description, violation.Description.LastIndexOf('\n'));
        return end < 0
            ? new FieldFault(violation.Field, text, "")
            : new FieldFault(violation.Field, text[..end], text[(end + 1)..]);
    }

    internal static StatusCode CodeOf(FlamingoErrorKind kind) => kind switch
    {
        FlamingoErrorKind.InvalidArgument => StatusCode.InvalidArgument,
        FlamingoErrorKind.NotFound => StatusCode.NotFound,
        FlamingoErrorKind.LatentsMissing or FlamingoErrorKind.Mismatch or FlamingoErrorKind.Conflict => StatusCode.FailedPrecondition,
        FlamingoErrorKind.Aborted => StatusCode.Aborted,
        FlamingoErrorKind.Overloaded => StatusCode.ResourceExhausted,
        FlamingoErrorKind.Unauthenticated => StatusCode.Unauthenticated,
        FlamingoErrorKind.PermissionDenied => StatusCode.PermissionDenied,
        FlamingoErrorKind.Unavailable => StatusCode.Unavailable,
        FlamingoErrorKind.DeadlineExceeded => StatusCode.DeadlineExceeded,
        FlamingoErrorKind.Cancelled => StatusCode.Cancelled,
        _ => StatusCode.Internal,
    };

    // A peer that failed in the middle of an answer gives INTERNAL or UNKNOWN with a transport error as cause. A connection that
    // could not be made in time gives CANCELLED; a caller's own cancellation does not reach this method. UNIMPLEMENTED comes from
    // another service: when containers restart, the address of a removed replica may belong to another service before name
    // resolution reports the change.
    private static FlamingoErrorKind KindOf(RpcException exception) => exception.StatusCode switch
    {
        StatusCode.InvalidArgument => FlamingoErrorKind.InvalidArgument,
        StatusCode.ResourceExhausted => FlamingoErrorKind.Overloaded,
        StatusCode.Aborted => FlamingoErrorKind.Aborted,
        StatusCode.Unauthenticated => FlamingoErrorKind.Unauthenticated,
        StatusCode.PermissionDenied => FlamingoErrorKind.PermissionDenied,
        StatusCode.DeadlineExceeded => FlamingoErrorKind.DeadlineExceeded,
        StatusCode.Unavailable or StatusCode.Cancelled or StatusCode.Unimplemented => FlamingoErrorKind.Unavailable,
        _ when HasBrokenTransport(exception.Status.DebugException ?? exception.InnerException) => FlamingoErrorKind.Unavailable,
        _ => FlamingoErrorKind.Internal,
    };

    private static string DetailOf(RpcException exception) => exception switch
    {
        { StatusCode: StatusCode.Unimplemented } =>
            $"the service at its address does not serve this call ({exception.Status.Detail}). It is of another kind or version; "
            + "check the address.",
        { Status.DebugException: { } handshake } when HasNoHandshake(handshake) =>
            "the process that listens there does not answer as a gRPC server (HTTP/2 without TLS for http://). Check the address, and "
            + "whether the server uses TLS (https://) or asks its callers for a certificate.",
        { Status.DebugException: HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } tls } =>
            $"no TLS connection could be made ({tls.GetBaseException().Message.TrimEnd('.')}). Check the name and the authority of its "
            + "certificate, and whether it asks for one of the caller; a server without TLS is asked by http://.",
        { Status.DebugException: { } broken } when HasBrokenTransport(broken) =>
            $"the connection broke ({broken.GetBaseException().Message}).",
        _ => exception.Status.Detail,
    };

    // .NET reports a failed HTTP/2 handshake in three ways: the peer sent another protocol, closed the connection, or was gone
    // when .NET read its answer. A peer that fails later causes a socket error or an answer that ended early.
    private static bool HasNoHandshake(Exception exception) =>
        exception is HttpRequestException { HttpRequestError: HttpRequestError.HttpProtocolError or HttpRequestError.InvalidResponse }
        || exception.GetBaseException() is (IOException and not HttpIOException) or ObjectDisposedException
            or HttpRequestException { HttpRequestError: HttpRequestError.Unknown };

    private static bool HasBrokenTransport(Exception? exception)
    {
        for (; exception is not null; exception = exception.InnerException)
            if (exception is IOException or HttpRequestException or SocketException or HttpProtocolException) return true;
        return false;
    }
}
