using System.Reflection;
using Flamingo.Abstractions;
using Flamingo.Wire;
using Google.Protobuf;
using Grpc.AspNetCore.Server.Model;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>
/// Binds the methods of a generated service, in place of gRPC's own binder. It gives each method its <see cref="RequestLimit"/>, and a
/// request that cannot be parsed becomes a refusal with INVALID_ARGUMENT. gRPC parses requests before interceptors run, and would answer
/// UNKNOWN and log the exception.
/// </summary>
internal sealed class BoundMethods<TService>(IHttpContextAccessor current) : IServiceMethodProvider<TService>
    where TService : class
{
    public void OnServiceMethodDiscovery(ServiceMethodProviderContext<TService> context)
    {
        for (var type = typeof(TService); type is not null; type = type.BaseType)
        {
            if (type.GetCustomAttribute<BindServiceMethodAttribute>(inherit: false) is not { } attribute) continue;
            var bind = attribute.BindType.GetMethod(attribute.BindMethodName, [typeof(ServiceBinderBase), type])
                ?? throw new InvalidOperationException($"{attribute.BindType} has no method {attribute.BindMethodName}.");
            bind.Invoke(null, [new Binder(context, current), null]);
            return;
        }
    }

    private sealed class Binder(ServiceMethodProviderContext<TService> context, IHttpContextAccessor current) : ServiceBinderBase
    {
        public override void AddMethod<TRequest, TResponse>(
            Method<TRequest, TResponse> method, UnaryServerMethod<TRequest, TResponse>? handler)
        {
            var (implementation, metadata) = Find(method, typeof(TRequest), typeof(ServerCallContext));
            context.AddUnaryMethod(
                Lenient(method), metadata, implementation.CreateDelegate<UnaryServerMethod<TService, TRequest, TResponse>>());
        }

        public override void AddMethod<TRequest, TResponse>(
            Method<TRequest, TResponse> method, ServerStreamingServerMethod<TRequest, TResponse>? handler)
        {
            var (implementation, metadata) = Find(
                method, typeof(TRequest), typeof(IServerStreamWriter<TResponse>), typeof(ServerCallContext));
            context.AddServerStreamingMethod(
                Lenient(method), metadata, implementation.CreateDelegate<ServerStreamingServerMethod<TService, TRequest, TResponse>>());
        }

        public override void AddMethod<TRequest, TResponse>(
            Method<TRequest, TResponse> method, ClientStreamingServerMethod<TRequest, TResponse>? handler)
        {
            var (implementation, metadata) = Find(method, typeof(IAsyncStreamReader<TRequest>), typeof(ServerCallContext));
            context.AddClientStreamingMethod(
                Lenient(method), metadata, implementation.CreateDelegate<ClientStreamingServerMethod<TService, TRequest, TResponse>>());
        }

        public override void AddMethod<TRequest, TResponse>(
            Method<TRequest, TResponse> method, DuplexStreamingServerMethod<TRequest, TResponse>? handler)
        {
            var (implementation, metadata) = Find(
                method, typeof(IAsyncStreamReader<TRequest>), typeof(IServerStreamWriter<TResponse>), typeof(ServerCallContext));
            context.AddDuplexStreamingMethod(
                Lenient(method), metadata, implementation.CreateDelegate<DuplexStreamingServerMethod<TService, TRequest, TResponse>>());
        }

        private static (MethodInfo Implementation, IList<object> Metadata) Find<TRequest, TResponse>(
            Method<TRequest, TResponse> method, params Type[] parameters)
            where TRequest : class
        {
            var implementation = typeof(TService).GetMethod(method.Name, parameters)
                ?? throw new InvalidOperationException($"{typeof(TService)} has no method {method.Name}.");
            return (implementation,
            [
                .. typeof(TService).GetCustomAttributes(inherit: true), .. implementation.GetCustomAttributes(inherit: true),
                new HttpMethodMetadata([HttpMethods.Post]), RequestLimit.Of(method),
            ]);
        }

        private Method<TRequest, TResponse> Lenient<TRequest, TResponse>(Method<TRequest, TResponse> method)
            where TRequest : class
            where TResponse : class
        {
            var parse = method.RequestMarshaller.ContextualDeserializer;
            var lenient = new Marshaller<TRequest>(method.RequestMarshaller.ContextualSerializer, payload =>
            {
                try
                {
                    return parse(payload);
                }
                catch (Exception exception) when (
                    exception is InvalidProtocolBufferException or ArgumentException && ArrivingRequest.Of(current.HttpContext) is not null)
                {
                    var empty = Activator.CreateInstance<TRequest>();
                    var type = (empty as IMessage)?.Descriptor.FullName ?? typeof(TRequest).Name;
                    ArrivingRequest.Of(current.HttpContext)!.Refuse(FlamingoException.Invalid(
                        "message", $"The message is not a valid {type}. {exception.Message}",
                        "Encode it with the proto files of this version.").ToRpcException());
                    return empty;
                }
            });
            return new Method<TRequest, TResponse>(
                method.Type, method.ServiceName, method.Name, lenient, method.ResponseMarshaller);
        }
    }
}
