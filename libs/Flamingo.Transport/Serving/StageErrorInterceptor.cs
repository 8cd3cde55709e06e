using Flamingo.Abstractions;
using Flamingo.Transport.Wire;
using Flamingo.Wire;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Serving;

/// <summary>
/// Converts every exception of a service to a gRPC status. A <see cref="FlamingoException"/> keeps its details. Any other
/// exception becomes INTERNAL without details, and is logged.
/// </summary>
public sealed class StageErrorInterceptor(ILogger<StageErrorInterceptor> logger) : Interceptor
{
    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        try
        {
            return await continuation(request, context);
        }
        catch (Exception exception) when (exception is not RpcException)
        {
            throw Translate(exception, context);
        }
    }

    public override async Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> stream, ServerCallContext context,
        ServerStreamingServerMethod<TRequest, TResponse> continuation)
    {
        try
        {
            await continuation(request, stream, context);
        }
        catch (Exception exception) when (exception is not RpcException)
        {
            throw Translate(exception, context);
        }
    }

    private RpcException Translate(Exception exception, ServerCallContext context)
    {
        if (exception is FlamingoException expected) return expected.ToRpcException();
        if (context.CancellationToken.IsCancellationRequested)
        {
            var hadDeadline = context.Deadline <= DateTime.MaxValue.AddDays(-1);
            var kind = hadDeadline ? FlamingoErrorKind.DeadlineExceeded : FlamingoErrorKind.Cancelled;
            return new FlamingoException(kind, "The caller cancelled the call or its deadline passed.").ToRpcException();
        }

        logger.FailedUnexpectedly(exception, context.Method);
        return new FlamingoException(
            FlamingoErrorKind.Internal, "The call failed unexpectedly. The server's log has the details.").ToRpcException();
    }
}
