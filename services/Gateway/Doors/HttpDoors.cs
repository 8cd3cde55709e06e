using Flamingo.Gateway.Doors.Native;
using Flamingo.Gateway.Doors.OpenAI;
using Flamingo.Gateway.Doors.OpenApi;
using Flamingo.Gateway.Doors.Page;
using Flamingo.Gateway.Doors.Ports;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Gateway.Doors;

/// <summary>
/// Registers and maps what the gateway serves on its HTTP port. Every door translates its protocol to the public model
/// (<c>IFlamingo</c>, <c>ITasks</c>, <c>ISupportSets</c>) and nothing more, so that all doors give the same tokens.
/// </summary>
public static class HttpDoors
{
    public static IServiceCollection AddHttpDoors(this IServiceCollection services) => services
        .AddHttpPort()
        .AddNativeJson()
        .AddOpenAiDoor();

    /// <summary>Adds what all requests of the HTTP port have in common, refusals by later middleware included.</summary>
    public static WebApplication UseHttpDoors(this WebApplication app) => app.UseHttpPort();

    /// <summary>
    /// Maps the doors. <see cref="UseHttpDoors"/> comes before it, and between the two the middleware that decides whether a
    /// caller may come in.
    /// </summary>
    public static WebApplication MapHttpDoors(this WebApplication app)
    {
        app.UseArrivedBodies().MapOpenApiDocument();
        app.MapOpenAiDoor();
        return app.MapPlayground();
    }
}
