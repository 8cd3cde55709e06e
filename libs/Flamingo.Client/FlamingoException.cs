using Google.Rpc;
using Grpc.Core;

namespace Flamingo.Client;

/// <summary>One thing wrong with a request: the field, what is wrong with it, and what to send instead.</summary>
public sealed record RequestFault(string Field, string Problem, string Remedy);

/// <summary>A call that the service refused or could not finish.</summary>
public sealed class FlamingoException : Exception
{
    private FlamingoException(RpcException inner, string message)
        : base(message, inner) => StatusCode = inner.StatusCode;

    /// <summary>InvalidArgument, NotFound, ResourceExhausted, Unavailable, FailedPrecondition, DeadlineExceeded or Internal.</summary>
    public StatusCode StatusCode { get; }

    /// <summary>For InvalidArgument: everything that is wrong, at once.</summary>
    public IReadOnlyList<RequestFault> Faults { get; private init; } = [];

    /// <summary>For NotFound: ids of pictures to send again as bytes.</summary>
    public IReadOnlyList<string> MissingPictures { get; private init; } = [];

    /// <summary>For ResourceExhausted: how long to wait before trying again.</summary>
    public TimeSpan? RetryAfter { get; private init; }

    internal static FlamingoException From(RpcException exception)
    {
        var status = exception.GetRpcStatus();
        return new FlamingoException(exception, status?.Message ?? exception.Status.Detail)
        {
            Faults = [.. status?.GetDetail<BadRequest>()?.FieldViolations.Select(Fault) ?? []],
            MissingPictures = [.. status?.Details.Where(detail => detail.Is(ResourceInfo.Descriptor)).Select(detail => detail.Unpack<ResourceInfo>().ResourceName) ?? []],
            RetryAfter = status?.GetDetail<RetryInfo>()?.RetryDelay.ToTimeSpan(),
        };
    }

    // the service sends problem and remedy as two lines of the description
    private static RequestFault Fault(BadRequest.Types.FieldViolation violation)
    {
        var lines = violation.Description.Split('\n', 2);
        return new RequestFault(violation.Field, lines[0], lines.Length > 1 ? lines[1] : "");
    }
}
