using Flamingo.Abstractions;
using Flamingo.Transport.Serving.Arrival;
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
        ThrowIfRefused(context);
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
        ThrowIfRefused(context);
        try
        {
            await continuation(request, stream, context);
        }
        catch (Exception exception) when (exception is not RpcException)
        {
            throw Translate(exception, context);
        }
    }

    public override Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requests, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation) =>
        continuation(new CheckedRequests<TRequest>(requests, context), context);

    public override Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requests, IServerStreamWriter<TResponse> stream, ServerCallContext context,
        DuplexStreamingServerMethod<TRequest, TResponse> continuation) =>
        continuation(new CheckedRequests<TRequest>(requests, context), stream, context);

    private static void ThrowIfRefused(ServerCallContext context)
    {
        ArrivedBody.Of(context.GetHttpContext())?.Parsed();
        if (ArrivingRequest.Of(context.GetHttpContext())?.Refusal is { } refusal) throw refusal;
    }

    private RpcException Translate(Exception exception, ServerCallContext context)
    {
        if (exception is FlamingoException expected)
        {
            // A caller of gRPC finds it in RetryInfo.
            if (expected.RetryAfter is { } pause && context.GetHttpContext() is { } http && ArrivingRequest.Of(http) is null)
                http.Response.Headers.RetryAfter = ErrorWire.RetrySeconds(pause);
            return expected.ToRpcException();
        }

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

    private sealed class CheckedRequests<T>(IAsyncStreamReader<T> requests, ServerCallContext context) : IAsyncStreamReader<T>
    {
        public T Current => requests.Current;

        public async Task<bool> MoveNext(CancellationToken cancellationToken)
        {
            var any = await requests.MoveNext(cancellationToken);
            ThrowIfRefused(context);
            return any;
        }
    }
}
