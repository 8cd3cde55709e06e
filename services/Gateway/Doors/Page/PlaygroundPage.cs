using System.Collections.Frozen;
using System.Net.Mime;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

namespace Flamingo.Gateway.Doors.Page;

/// <summary>
/// Serves a page at <c>/</c> on which people try few-shot prompts. It is plain HTML, CSS and JavaScript modules in the folder
/// <c>web</c>, embedded in this assembly, and asks the native API as JSON. Everybody may load it; its calls need a key where keys are on.
/// </summary>
internal static class PlaygroundPage
{
    private const string Folder = "page/";

    // The page may run only its own program and ask only this server; pictures that the user chose are blob addresses.
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static readonly FrozenDictionary<string, File> Files = Read();

    public static WebApplication MapPlayground(this WebApplication app)
    {
        if (!app.Services.GetRequiredService<IOptions<DoorOptions>>().Value.Page) return app;
        // Addresses in the page are relative, so that a proxy may put any path before them.
        app.MapMethods("/", Methods, (HttpContext context) => Send(context, "index.html")).AllowAnonymous().ExcludeFromDescription();
        app.MapMethods("/page/{**file}", Methods, (HttpContext context, string? file) => Send(context, file ?? "")).AllowAnonymous()
            .ExcludeFromDescription();
        return app;
    }

    private static string[] Methods => [HttpMethods.Get, HttpMethods.Head];

    private static IResult Send(HttpContext context, string name)
    {
        if (!Files.TryGetValue(name, out var file)) return Results.StatusCode(StatusCodes.Status404NotFound);
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers.CacheControl = "no-cache"; // the browser asks whether its copy is current, so that an upgrade is seen at once
        return Results.Bytes(file.Bytes, file.Type, entityTag: file.Tag);
    }

    private static FrozenDictionary<string, File> Read()
    {
        var assembly = typeof(PlaygroundPage).Assembly;
        return assembly.GetManifestResourceNames().Where(name => name.StartsWith(Folder, StringComparison.Ordinal)).ToFrozenDictionary(
            name => name[Folder.Length..],
            name =>
            {
                using var stream = assembly.GetManifestResourceStream(name)!;
                var bytes = new byte[stream.Length];
                stream.ReadExactly(bytes);
                var tag = Convert.ToHexStringLower(SHA256.HashData(bytes))[..32];
                return new File(bytes, TypeOf(name), new EntityTagHeaderValue($"\"{tag}\""));
            },
            StringComparer.Ordinal);
    }

    private static string TypeOf(string name) => Path.GetExtension(name) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".svg" => MediaTypeNames.Image.Svg,
        ".png" => MediaTypeNames.Image.Png,
        _ => MediaTypeNames.Application.Octet,
    };

    private sealed record File(byte[] Bytes, string Type, EntityTagHeaderValue Tag);
}
