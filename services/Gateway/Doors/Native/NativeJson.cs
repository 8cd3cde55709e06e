using System.Text;
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
        services.AddGrpc().AddJsonTranscoding(transcoding =>
        {
            transcoding.TypeRegistry = Types;
            transcoding.JsonSettings.WriteInt64sAsStrings = true; // as protocol buffers do; JavaScript would round a seed
        });
        // Its faults are the caller's, and it would log each with a stack trace. What a service throws is logged by the service.
        services.AddLogging(logging => logging.AddFilter("Grpc.AspNetCore.Grpc.JsonTranscoding", LogLevel.Warning));
        return services.ReplaceBinder(); // AddGrpc has registered gRPC's own again
    }

    /// <returns>The method that an endpoint translates from JSON; null for every other endpoint.</returns>
    public static MethodDescriptor? MethodOf(Endpoint? endpoint) =>
        endpoint?.Metadata.GetMetadata<GrpcJsonTranscodingMetadata>()?.MethodDescriptor;

    /// <summary>Whether the endpoint's request consists of names and numbers.</summary>
    public static bool IsSmall(Endpoint endpoint) => MethodOf(endpoint) is { } method && !ArrivalRules.HoldsData(method.InputType);

    /// <summary>Checks the JSON text of a native request, so that its faults are named. The translation itself names none.</summary>
    /// <param name="body">The body; null if there is none.</param>
    /// <exception cref="BadHttpRequestException">415: the content type is not JSON.</exception>
    /// <exception cref="FlamingoException">InvalidArgument: the text does not fit the message.</exception>
    public static void Check(HttpContext context, ArrivedBody? body)
    {
        var translation = context.GetEndpoint()?.Metadata.GetMetadata<GrpcJsonTranscodingMetadata>();
        if (translation is not { HttpRule.Body.Length: > 0 }) return;
        if (body is null)
            throw FlamingoException.Invalid(
                "body", "The request has none.",
                    $"Send a JSON object with the fields of {translation.MethodDescriptor.InputType.FullName}.");
        if (!context.Request.HasJsonContentType())
            throw new BadHttpRequestException(
                $"The content type is '{context.Request.ContentType}'. Send application/json.", StatusCodes.Status415UnsupportedMediaType);
        body.Reader.TryRead(out var text);
        NativeRequest.Check(text.Buffer, translation.MethodDescriptor.InputType);
        body.Reader.AdvanceTo(text.Buffer.Start);
    }

    /// <returns>An error as the JSON of google.rpc.Status.</returns>
    public static byte[] StatusText(Exception exception, int http) =>
        Encoding.UTF8.GetBytes(Formatter.Format(exception is FlamingoException flamingo
        ? flamingo.ToRpcException().GetRpcStatus() ?? throw new InvalidOperationException("The status has no details.")
        : new Google.Rpc.Status { Code = (int)CodeOf(http), Message = exception.Message }));

    private static StatusCode CodeOf(int http) => http switch
    {
        StatusCodes.Status408RequestTimeout => StatusCode.DeadlineExceeded,
        StatusCodes.Status404NotFound => StatusCode.NotFound,
        StatusCodes.Status405MethodNotAllowed => StatusCode.Unimplemented,
        StatusCodes.Status413PayloadTooLarge or StatusCodes.Status431RequestHeaderFieldsTooLarge => StatusCode.ResourceExhausted,
        _ => StatusCode.InvalidArgument,
    };
}
