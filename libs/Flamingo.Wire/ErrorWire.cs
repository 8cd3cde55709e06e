using System.Net.Sockets;
using Flamingo.Abstractions;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;

namespace Flamingo.Wire;

/// <summary>
/// The one place where <see cref="FlamingoException"/> becomes a gRPC status with rich details, and the one where it comes back.
/// </summary>
public static class ErrorWire
{
    private const string Domain = "flamingo";

    private static readonly SocketError[] BrokenConnection =
        [SocketError.ConnectionReset, SocketError.ConnectionAborted, SocketError.Shutdown];

    public static RpcException ToRpcException(this FlamingoException exception)
    {
        var status = new Google.Rpc.Status { Code = (int)CodeOf(exception.Kind), Message = exception.Message };
        status.Details.Add(Any.Pack(new ErrorInfo { Domain = Domain, Reason = exception.Kind.ToString() }));
        if (exception.Faults.Count > 0)
        {
            var request = new BadRequest();
            request.FieldViolations.AddRange(exception.Faults.Select(fault =>
                new BadRequest.Types.FieldViolation { Field = fault.Field, Description = $"{fault.Problem}\n{fault.Remedy}" }));
            status.Details.Add(Any.Pack(request));
        }

        foreach (var missing in exception.Missing)
            status.Details.Add(Any.Pack(new ResourceInfo { ResourceType = exception.MissingResource, ResourceName = missing }));
        if (exception.RetryAfter is { } delay)
            status.Details.Add(Any.Pack(new RetryInfo { RetryDelay = Duration.FromTimeSpan(delay) }));
        return status.ToRpcException();
    }

    /// <param name="peer">The service that was called, for messages of its absence.</param>
    /// <param name="remedy">What to do about its absence, one sentence.</param>
    public static FlamingoException ToFlamingoException(this RpcException exception, string peer, string remedy = "")
    {
        var status = exception.GetRpcStatus();
        var info = status?.GetDetail<ErrorInfo>();
        if (status is null || info?.Domain != Domain || !System.Enum.TryParse<FlamingoErrorKind>(info.Reason, out var kind))
        {
            var unreached = WhyNotReached(exception) is { } reason ? $"{peer} cannot be reached: {reason}. {remedy}".TrimEnd() : null;
            return new FlamingoException(KindOf(exception), unreached ?? $"{peer}: {DetailOf(exception)}", exception);
        }

        var missing = status.Details.Where(detail => detail.Is(ResourceInfo.Descriptor)).Select(detail => detail.Unpack<ResourceInfo>())
            .ToList();
        return new FlamingoException(kind, status.Message, exception)
        {
            Faults = [.. status.GetDetail<BadRequest>()?.FieldViolations.Select(ToFault) ?? []],
            Missing = [.. missing.Select(resource => resource.ResourceName)],
            MissingResource = missing.FirstOrDefault()?.ResourceType ?? FlamingoException.Picture,
            RetryAfter = status.GetDetail<RetryInfo>()?.RetryDelay.ToTimeSpan(),
        };
    }

    /// <returns>Why the call reached nobody, in the system's words; null where there was a connection.</returns>
    public static string? WhyNotReached(this RpcException exception)
    {
        var inner = exception.Status.DebugException;
        while (inner is not (null or SocketException)) inner = inner.InnerException;
        return inner is SocketException socket && !BrokenConnection.Contains(socket.SocketErrorCode) ? socket.Message : null;
    }

    // the remedy travels as the description's last line; a problem may quote a caller's text, line breaks included
    private static FieldFault ToFault(BadRequest.Types.FieldViolation violation)
    {
        var (text, end) = (violation.Description, violation.Description.LastIndexOf('\n'));
        return end < 0
            ? new FieldFault(violation.Field, text, "")
            : new FieldFault(violation.Field, text[..end], text[(end + 1)..]);
    }

    private static StatusCode CodeOf(FlamingoErrorKind kind) => kind switch
    {
        FlamingoErrorKind.InvalidArgument => StatusCode.InvalidArgument,
        FlamingoErrorKind.NotFound => StatusCode.NotFound,
        FlamingoErrorKind.LatentsMissing or FlamingoErrorKind.Mismatch or FlamingoErrorKind.Conflict => StatusCode.FailedPrecondition,
        FlamingoErrorKind.Overloaded => StatusCode.ResourceExhausted,
        FlamingoErrorKind.Unavailable => StatusCode.Unavailable,
        FlamingoErrorKind.DeadlineExceeded => StatusCode.DeadlineExceeded,
        FlamingoErrorKind.Cancelled => StatusCode.Cancelled,
        _ => StatusCode.Internal,
    };

    // A peer that died in mid-answer shows as INTERNAL or UNKNOWN with a broken transport beneath, one that could not be
    // connected in time as CANCELLED; a caller's own cancellation never comes here. UNIMPLEMENTED is a stranger's answer: the
    // address of a replica that is gone may belong to another service before name resolution knows it (containers restart so).
    private static FlamingoErrorKind KindOf(RpcException exception) => exception.StatusCode switch
    {
        StatusCode.InvalidArgument => FlamingoErrorKind.InvalidArgument,
        StatusCode.ResourceExhausted => FlamingoErrorKind.Overloaded,
        StatusCode.DeadlineExceeded => FlamingoErrorKind.DeadlineExceeded,
        StatusCode.Unavailable or StatusCode.Cancelled or StatusCode.Unimplemented => FlamingoErrorKind.Unavailable,
        _ when HasBrokenTransport(exception.Status.DebugException ?? exception.InnerException) => FlamingoErrorKind.Unavailable,
        _ => FlamingoErrorKind.Internal,
    };

    private static string DetailOf(RpcException exception) => exception switch
    {
        { StatusCode: StatusCode.Unimplemented } =>
            $"what answers at its address serves no such call ({exception.Status.Detail}). It is of another kind or version; "
            + "see that the address is right.",
        { Status.DebugException: { } ended } when HasNoHandshake(ended) =>
            "what listens there does not answer as a gRPC server (HTTP/2 without TLS for http://). See that the address is right.",
        { Status.DebugException: HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } insecure } =>
            $"no TLS connection could be made ({insecure.GetBaseException().Message}). Flamingo's own services have none: use http://.",
        { Status.DebugException: { } broken } when HasBrokenTransport(broken) =>
            $"the connection broke ({broken.GetBaseException().Message}).",
        _ => exception.Status.Detail,
    };

    // .NET tells in three ways that HTTP/2 was never agreed on: the peer sent something else, ended instead, or was gone when
    // its answer was looked for. A peer that dies later leaves a socket's error or an answer that ended early beneath.
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
