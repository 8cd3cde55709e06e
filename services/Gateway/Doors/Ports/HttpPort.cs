using System.IO.Pipelines;
using System.Text.RegularExpressions;
using Flamingo.Gateway.Doors.Native;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Serving.Arrival;
using Flamingo.Wire;
using Grpc.AspNetCore.Server;
using Grpc.AspNetCore.Web;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.Doors.Ports;

/// <summary>
/// What all requests of the HTTP port have in common: the header x-request-id, the translation of gRPC-Web, endpoints that only one of the
/// two ports serves, bodies that the budget admits, and errors in JSON.
/// </summary>
internal static partial class HttpPort
{
    private const string RequestId = "x-request-id";

    public static IServiceCollection AddHttpPort(this IServiceCollection services)
    {
        // The first filter is the outermost. gRPC-Web must become gRPC before the request's messages are admitted.
        services.Insert(0, ServiceDescriptor.Singleton<IStartupFilter, Filter>());
        return services.AddSingleton<KnownPaths>();
    }

    /// <summary>Separates the endpoints of the two ports, and answers errors of the HTTP port in JSON.</summary>
    public static WebApplication UseHttpPort(this WebApplication app)
    {
        app.Use(async (HttpContext context, RequestDelegate next) =>
        {
            var web = context.Features.Get<WebRequest>();
            if (context.GetEndpoint() is { } endpoint && !IsServed(endpoint, web)) context.SetEndpoint(null);
            if (web is null) await next(context);
            else await AnswerAsync(context, next);
        });
        return app;
    }

    /// <summary>Receives the bodies of requests whose endpoint exists, before the endpoint runs.</summary>
    public static WebApplication UseArrivedBodies(this WebApplication app)
    {
        app.Use(async (HttpContext context, RequestDelegate next) =>
        {
            if (context.Features.Get<WebRequest>() is not { IsGrpc: false } || context.GetEndpoint() is not RouteEndpoint endpoint)
            {
                await next(context);
                return;
            }

            using var body = context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == true
                ? await ArrivedBody.ReceiveAsync(context, NativeJson.IsSmall(endpoint)) : null;
            NativeJson.Check(context, body);
            await next(context);
        });
        return app;
    }

    private static async Task AnswerAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            var bytes = ArrivalRules.MetadataBytes(context);
            if (bytes > ArrivalRules.MostMetadataBytes)
                throw new BadHttpRequestException(
                    $"The request has {bytes} bytes of headers, which are more than {ArrivalRules.MostMetadataBytes}. Send fewer.",
                    StatusCodes.Status431RequestHeaderFieldsTooLarge);
            await next(context);
            var response = context.Response;
            if (response is { HasStarted: false, StatusCode: >= 400, ContentType: null, ContentLength: null })
                await HttpErrors.WriteAsync(context, context.RequestServices.GetRequiredService<KnownPaths>().Explain(context));
        }
        catch (Exception exception)
        {
            if (context.RequestAborted.IsCancellationRequested || context.Response.HasStarted) throw;
            await HttpErrors.WriteAsync(context, exception);
        }
    }

    // gRPC's answer to calls that it does not know is an endpoint too, for every path.
    private static bool IsServed(Endpoint endpoint, WebRequest? web)
    {
        var isGrpc = endpoint.Metadata.GetMetadata<GrpcMethodMetadata>() is not null
            || (endpoint as RouteEndpoint)?.RoutePattern.GetParameter("unimplementedMethod") is not null;
        var isJson = NativeJson.MethodOf(endpoint) is not null;
        if (web is null) return isGrpc && !isJson;
        return web.IsGrpc
            ? isGrpc && !isJson && endpoint.Metadata.GetMetadata<GrpcMethodMetadata>()?.Method.ServiceName is null or "flamingo.v1.Flamingo"
                or "flamingo.v1.Tasks" or "flamingo.v1.SupportSets" or "flamingo.v1.LatentCache"
            : isJson || !isGrpc;
    }

    [GeneratedRegex("^[A-Za-z0-9._-]{1,128}$")]
    private static partial Regex WellFormedId();

    /// <summary>Marks a request of the HTTP port.</summary>
    /// <param name="IsGrpc">Whether it is gRPC-Web, which is gRPC from here on.</param>
    /// <param name="IsText">Whether it is gRPC-Web in base64.</param>
    private sealed record WebRequest(bool IsGrpc, bool IsText);

    private sealed record Body(PipeReader Reader) : IRequestBodyPipeFeature;

    private sealed class Filter(IOptions<EndpointOptions> options) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            var port = options.Value.HttpPort;
            if (port > 0)
                app.UseWhen(context => context.Connection.LocalPort == port, web =>
                {
                    web.Use(BeginAsync);
                    web.UseGrpcWeb(new GrpcWebOptions { DefaultEnabled = true });
                    web.Use(ReadTextAsync);
                });
            next(app);
        };

        private static Task BeginAsync(HttpContext context, RequestDelegate next)
        {
            var given = context.Request.Headers[RequestId].ToString();
            context.TraceIdentifier = WellFormedId().IsMatch(given) ? given : Guid.NewGuid().ToString("N");
            context.Response.Headers[RequestId] = context.TraceIdentifier;
            if (ErrorWire.RunningTrace is { } trace) context.Response.Headers[ErrorWire.TraceHeader] = trace;
            context.Features.Set(new WebRequest(Is("application/grpc-web"), Is("application/grpc-web-text")));
            return next(context);

            bool Is(string type) => context.Request.ContentType?.StartsWith(type, StringComparison.OrdinalIgnoreCase) == true;
        }

        // The reader that decodes base64 has no TryRead, which ArrivingRequest calls. One over its stream has.
        private static Task ReadTextAsync(HttpContext context, RequestDelegate next)
        {
            if (context.Features.Get<WebRequest>() is { IsText: true })
                context.Features.Set<IRequestBodyPipeFeature>(new Body(PipeReader.Create(context.Request.BodyReader.AsStream())));
            return next(context);
        }
    }
}
