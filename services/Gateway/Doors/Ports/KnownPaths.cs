using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Flamingo.Gateway.Doors.Ports;

/// <summary>Explains that a path or a method does not exist, and names those that do.</summary>
internal sealed class KnownPaths(EndpointDataSource endpoints)
{
    private const int MostCharacters = 200;

    /// <param name="context">A request whose answer has a status of at least 400 and no body.</param>
    public BadHttpRequestException Explain(HttpContext context)
    {
        var (request, status) = (context.Request, context.Response.StatusCode);
        var path = request.Path.Value ?? "";
        if (path.Length > MostCharacters) path = path[..MostCharacters] + "…";
        return new BadHttpRequestException(status switch
        {
            StatusCodes.Status404NotFound => $"There is no {request.Method} {path}. There is: {string.Join(", ", Names())}.",
            StatusCodes.Status405MethodNotAllowed =>
                $"{path} does not accept {request.Method}. It accepts {string.Join(", ", context.Response.Headers.Allow.ToArray())}.",
            StatusCodes.Status415UnsupportedMediaType =>
                $"{path} does not accept the content type '{request.ContentType}'. Send application/json.",
            _ => $"The request failed with status {status}.",
        }, status);
    }

    private IEnumerable<string> Names() =>
        from endpoint in endpoints.Endpoints.OfType<RouteEndpoint>()
        where endpoint.Metadata.GetMetadata<Grpc.AspNetCore.Server.GrpcMethodMetadata>() is null
            || Native.NativeJson.MethodOf(endpoint) is not null
        where endpoint.RoutePattern.GetParameter("unimplementedMethod") is null
        let path = "/" + endpoint.RoutePattern.RawText?.TrimStart('/')
        from method in endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? []
        orderby path, method
        select $"{method} {path}";
}
