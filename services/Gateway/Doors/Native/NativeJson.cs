using Flamingo.Abstractions;
using Flamingo.Transport.Serving.Arrival;
using Flamingo.Wire;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Rpc;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Grpc.JsonTranscoding;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Doors.Native;

/// <summary>
/// The native API as JSON over HTTP, translated by the google.api.http annotations of the protos. Streams are JSON lines. Errors are
/// google.rpc.Status.
/// </summary>
internal static class NativeJson
{
    private static readonly TypeRegistry Types = TypeRegistry.FromFiles(
        [ErrorDetailsReflection.Descriptor, StatusReflection.Descriptor, Protos.V1.FlamingoReflection.Descriptor]);

    private static readonly JsonFormatter Formatter = new(new JsonFormatter.Settings(formatDefaultValues: true, Types));

    public static IServiceCollection AddNativeJson(this IServiceCollection services)
    {
        services.AddGrpc().AddJsonTranscoding(transcoding => transcoding.TypeRegistry = Types);
        return services;
    }

    /// <returns>The method that an endpoint translates from JSON; null for every other endpoint.</returns>
    public static MethodDescriptor? MethodOf(Endpoint? endpoint) =>
        endpoint?.Metadata.GetMetadata<GrpcJsonTranscodingMetadata>()?.MethodDescriptor;

    /// <summary>Whether the endpoint's request consists of names and numbers.</summary>
    public static bool IsSmall(Endpoint endpoint) => MethodOf(endpoint) is { } method && !ArrivalRules.HoldsData(method.InputType);

    public static bool IsNative(HttpContext context) => MethodOf(context.GetEndpoint()) is not null;

    /// <summary>Checks the JSON text of a native request, so that its faults are named. The translation itself names none.</summary>
    public static Task CheckAsync(HttpContext context, ArrivedBody body)
    {
        if (MethodOf(context.GetEndpoint()) is not { } method) return Task.CompletedTask;
        if (!context.Request.HasJsonContentType())
            throw new BadHttpRequestException(
                $"The content type is '{context.Request.ContentType}'. Send application/json.", StatusCodes.Status415UnsupportedMediaType);
        return Task.CompletedTask;
    }

    /// <returns>An error as the JSON of google.rpc.Status.</returns>
    public static string StatusText(Exception exception, int http) => Formatter.Format(exception is FlamingoException flamingo
        ? flamingo.ToRpcException().GetRpcStatus() ?? throw new InvalidOperationException("The status has no details.")
        : new Google.Rpc.Status { Code = (int)CodeOf(http), Message = exception.Message });

    private static StatusCode CodeOf(int http) => http switch
    {
        StatusCodes.Status408RequestTimeout => StatusCode.DeadlineExceeded,
        StatusCodes.Status404NotFound => StatusCode.NotFound,
        StatusCodes.Status405MethodNotAllowed => StatusCode.Unimplemented,
        StatusCodes.Status413PayloadTooLarge or StatusCodes.Status431RequestHeaderFieldsTooLarge => StatusCode.ResourceExhausted,
        _ => StatusCode.InvalidArgument,
    };
}
