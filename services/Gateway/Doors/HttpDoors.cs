using Flamingo.Gateway.Doors.OpenAI;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Gateway.Doors;

/// <summary>
/// Registers and maps what the gateway serves on its HTTP port. Every door translates its protocol to the public model
/// (<c>IFlamingo</c>, <c>ITasks</c>, <c>ISupportSets</c>) and nothing more, so that all doors give the same tokens.
/// </summary>
public static class HttpDoors
{
    public static IServiceCollection AddHttpDoors(this IServiceCollection services) => services.AddOpenAiDoor();

    public static WebApplication MapHttpDoors(this WebApplication app)
    {
        app.MapOpenAiDoor();
        return app;
    }
}
