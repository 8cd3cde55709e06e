using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Wire;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>Registers and maps OpenAI's API; docs/openai.md says what it holds.</summary>
public static class OpenAiDoor
{
    public static IServiceCollection AddOpenAiDoor(this IServiceCollection services)
    {
        services.AddOptionSection<DoorOptions>(DoorOptions.Section);
        services.AddOptionSection<GatewayOptions>(GatewayOptions.Section);
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<IHostAddresses, SystemHostAddresses>();
        services.TryAddSingleton(provider => ActivatorUtilities.CreateInstance<PictureFetch>(provider));
        services.AddSingleton<ServedModels>();
        services.AddSingleton<ChatCompletions>();
        services.AddSingleton<Completions>();
        services.AddSingleton<Embeddings>();
        services.AddSingleton<PictureFiles>();
        return services;
    }

    public static void MapOpenAiDoor(this IEndpointRouteBuilder app)
    {
        T Get<T>()
            where T : notnull => app.ServiceProvider.GetRequiredService<T>();

        Map(app, "POST", "/v1/chat/completions", Get<ChatCompletions>().AnswerAsync);
        Map(app, "POST", "/v1/completions", Get<Completions>().AnswerAsync);
        Map(app, "POST", "/v1/embeddings", Get<Embeddings>().AnswerAsync);
        Map(app, "GET", "/v1/models", Get<ServedModels>().ListAsync);
        Map(app, "GET", "/v1/models/{**id}", Get<ServedModels>().GetAsync);
        Map(app, "POST", "/v1/files", Get<PictureFiles>().PutAsync);
        Map(app, "GET", "/v1/files/{id}", Get<PictureFiles>().GetAsync);
        Map(app, "DELETE", "/v1/files/{id}", Get<PictureFiles>().DeleteAsync);
    }

    /// <summary>The tenant of a request, from the header that gRPC has it in too.</summary>
    public static string TenantOf(HttpContext context) => TenantHeader.Of(context.Request.Headers[TenantHeader.Name].FirstOrDefault());

    private static void Map(IEndpointRouteBuilder app, string method, string path, Func<HttpContext, Task> answer)
    {
        var logger = app.ServiceProvider.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(OpenAiDoor));
        app.MapMethods(path, [method], (RequestDelegate)(context => AnswerAsync(context, answer, logger)));
    }

    // A caller that has gone away gets nothing, and what it asked for has been cancelled.
    private static async Task AnswerAsync(HttpContext context, Func<HttpContext, Task> answer, ILogger logger)
    {
        OpenAiFault fault;
        try
        {
            await answer(context);
            return;
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (OpenAiFault refusal)
        {
            fault = refusal;
        }
        catch (FlamingoException refusal)
        {
            fault = OpenAiFault.Of(refusal, field => field, _ => null);
        }
        catch (BadHttpRequestException refusal)
        {
            fault = new OpenAiFault(refusal.StatusCode, "invalid_request_error", "bad_request", refusal.Message);
        }
        catch (Exception exception)
        {
            logger.RequestFailed(exception, context.Request.Method, context.Request.Path.Value ?? "", context.TraceIdentifier);
            fault = OpenAiFault.Unexpected();
        }

        if (!context.Response.HasStarted) await fault.WriteAsync(context);
        else context.Abort(); // the caller must not take what it has for the whole answer
    }
}
