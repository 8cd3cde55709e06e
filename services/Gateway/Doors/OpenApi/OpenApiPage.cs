using System.Net.Mime;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Gateway.Doors.Ports;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.Extensions.DependencyInjection;
using Scalar.AspNetCore;

namespace Flamingo.Gateway.Doors.OpenApi;

/// <summary>Serves the OpenAPI document at <c>/openapi/v1.json</c> and a page that shows it at <c>/openapi</c>.</summary>
internal static class OpenApiPage
{
    public static WebApplication MapOpenApiDocument(this WebApplication app)
    {
        var document = new Lazy<byte[]>(() => JsonSerializer.SerializeToUtf8Bytes<JsonNode>(
            OpenApiDocument.Write(app.Services.GetRequiredService<KnownPaths>().OfOtherDoors())));
        app.MapGet("/openapi/v1.json", () => Results.Bytes(document.Value, MediaTypeNames.Application.Json)).ExcludeFromDescription();
        // The page's program is part of the package, and it asks no other host.
        app.MapScalarApiReference("/openapi", page => page
            .WithTitle("Flamingo").WithOpenApiRoutePattern("/openapi/v1.json").DisableDefaultFonts().DisableTelemetry())
                .ExcludeFromDescription();
        return app;
    }
}
