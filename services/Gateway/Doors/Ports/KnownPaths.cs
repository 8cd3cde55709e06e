using Flamingo.Gateway.Doors.Native;
using Grpc.AspNetCore.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;
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

    /// <returns>Methods and paths of the HTTP port that are not of the native API, with what their endpoints say of themselves.</returns>
    public IEnumerable<(string Method, string Path, string Summary)> OfOtherDoors() =>
        from known in Described()
        where NativeJson.MethodOf(known.Endpoint) is null
        select (known.Method, known.Path, known.Endpoint.Metadata.GetMetadata<IEndpointSummaryMetadata>()?.Summary ?? "");

    // The page of the API is not part of the API.
    private IEnumerable<string> Names() => Described().Select(known => $"{known.Method} {known.Path}").Append("GET /openapi");

    private IEnumerable<(string Method, string Path, RouteEndpoint Endpoint)> Described() =>
        from endpoint in endpoints.Endpoints.OfType<RouteEndpoint>()
        where endpoint.Metadata.GetMetadata<IExcludeFromDescriptionMetadata>()?.ExcludeFromDescription != true
        where endpoint.Metadata.GetMetadata<GrpcMethodMetadata>() is null || NativeJson.MethodOf(endpoint) is not null
        let path = "/" + endpoint.RoutePattern.RawText?.TrimStart('/')
        from method in endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? []
        orderby path, method
        select (method, path, endpoint);
}
