using System.Net.Mime;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Gateway.Doors.Ports;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Scalar.AspNetCore;

namespace Flamingo.Gateway.Doors.OpenApi;

/// <summary>Serves the OpenAPI document at <c>/openapi/v1.json</c> and a page that shows it at <c>/openapi</c>.</summary>
internal static class OpenApiPage
{
    private const string OnlyThisServer = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:";

    public static WebApplication MapOpenApiDocument(this WebApplication app)
    {
        var document = new Lazy<byte[]>(() => JsonSerializer.SerializeToUtf8Bytes<JsonNode>(
            OpenApiDocument.Write(app.Services.GetRequiredService<KnownPaths>().OfOtherDoors())));
        app.MapGet("/openapi/v1.json", () => Results.Bytes(document.Value, MediaTypeNames.Application.Json)).ExcludeFromDescription();
        // The page's program is part of the package. It knows hosts of its maker, which the browser must not ask.
        app.Use((HttpContext context, RequestDelegate next) =>
        {
            if (context.GetEndpoint() is not null && context.Request.Path.StartsWithSegments("/openapi"))
                context.Response.Headers.ContentSecurityPolicy = OnlyThisServer;
            return next(context);
        });
        app.MapScalarApiReference("/openapi", page => page
            .WithTitle("Flamingo").WithOpenApiRoutePattern("/openapi/v1.json").DisableDefaultFonts().DisableTelemetry())
                .ExcludeFromDescription();
        return app;
    }
}
