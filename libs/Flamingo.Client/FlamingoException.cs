using System.Net.Sockets;
using Google.Rpc;
using Grpc.Core;

namespace Flamingo.Client;

/// <summary>One thing wrong with a request: the field, what is wrong with it, and what to send instead.</summary>
public sealed record RequestFault(string Field, string Problem, string Remedy);

/// <summary>A call that the service refused or could not finish.</summary>
public sealed class FlamingoException : Exception
{
    private static readonly SocketError[] BrokenConnection =
        [SocketError.ConnectionReset, SocketError.ConnectionAborted, SocketError.Shutdown];

    private FlamingoException(RpcException inner, string message)
        : base(message, inner) => StatusCode = IsGone(inner) ? StatusCode.Unavailable : inner.StatusCode;

    /// <summary>InvalidArgument, NotFound, ResourceExhausted, Unavailable, FailedPrecondition, DeadlineExceeded or Internal.</summary>
    public StatusCode StatusCode { get; }

    /// <summary>For InvalidArgument: everything that is wrong, at once.</summary>
    public IReadOnlyList<RequestFault> Faults { get; private init; } = [];

    /// <summary>For NotFound: ids of pictures to send again as bytes; empty where something else was not found.</summary>
    public IReadOnlyList<string> MissingPictures { get; private init; } = [];

    /// <summary>For ResourceExhausted: how long to wait before trying again.</summary>
    public TimeSpan? RetryAfter { get; private init; }

    /// <summary>Nobody listened at the address: no part of the call was sent.</summary>
    internal bool NeverConnected { get; private init; }

    /// <param name="address">Of the gateway, where the call may not have reached it.</param>
    internal static FlamingoException From(RpcException exception, string address = "")
    {
        var (status, reason) = (exception.GetRpcStatus(), NotReached(exception));
        var unreached = $"{address} cannot be reached: {reason}. Check the address, and that the server runs.";
        return new FlamingoException(exception, status?.Message ?? (reason is null ? exception.Status.Detail : unreached))
        {
            NeverConnected = reason is not null,
            Faults = [.. status?.GetDetail<BadRequest>()?.FieldViolations.Select(ToFault) ?? []],
            MissingPictures = [.. status?.Details.Where(detail => detail.Is(ResourceInfo.Descriptor)).Select(detail => detail.Unpack<ResourceInfo>()).Where(missing => missing.ResourceType == "picture").Select(missing => missing.ResourceName) ?? []],
            RetryAfter = status?.GetDetail<RetryInfo>()?.RetryDelay.ToTimeSpan(),
        };
    }

    // a broken connection is INTERNAL to gRPC, and CANCELLED one that could not be made in time; a caller's own cancellation never comes here
    private static bool IsGone(RpcException exception)
    {
        if (exception.StatusCode is StatusCode.Unavailable or StatusCode.Cancelled) return true;
        for (var inner = exception.Status.DebugException; inner is not null; inner = inner.InnerException)
            if (inner is IOException or HttpRequestException or SocketException) return true;
        return false;
    }

    // why there was no connection, in the system's words; a connection that broke was one
    private static string? NotReached(RpcException exception)
    {
        var inner = exception.Status.DebugException;
        while (inner is not (null or SocketException)) inner = inner.InnerException;
        return inner is SocketException socket && !BrokenConnection.Contains(socket.SocketErrorCode) ? socket.Message : null;
    }

    // the service writes the remedy as the description's last line
    private static RequestFault ToFault(BadRequest.Types.FieldViolation violation)
    {
        var (text, end) = (violation.Description, violation.Description.LastIndexOf('\n'));
        return end < 0 ? new RequestFault(violation.Field, text, "") : new RequestFault(violation.Field, text[..end], text[(end + 1)..]);
    }
}
