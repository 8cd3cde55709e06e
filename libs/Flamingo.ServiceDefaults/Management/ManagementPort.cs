using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OpenTelemetry.Metrics;

namespace Flamingo.ServiceDefaults.Management;

/// <summary>
/// The port for operators (<see cref="EndpointOptions.ManagementPort"/>), HTTP/1.1 without keys: metrics as a Prometheus page, and health.
/// Its requests reach nothing else of the service, and the service's other ports serve none of its paths.
/// </summary>
internal static class ManagementPort
{
    public const string Metrics = "/metrics", Live = "/healthz", Ready = "/readyz";

    public static void AddManagementPort(this IServiceCollection services)
    {
        services.AddSingleton<IStartupFilter, Filter>();
        services.AddOpenTelemetry().WithMetrics(metrics => metrics.AddPrometheusExporter(page =>
        {
            // Every instrument of ours names its meter by its own prefix, and a label for it would change the series of vLLM's dashboards.
            page.ScopeInfoEnabled = false;
            page.ScrapeEndpointPath = Metrics;
        }));
    }

    /// <summary>Whether a request came through the management port.</summary>
    public static bool IsManagement(HttpContext context, EndpointOptions endpoints) =>
        endpoints.ManagementPort > 0 && context.Connection.LocalPort == endpoints.ManagementPort;

    private static void Answer(IApplicationBuilder port)
    {
        port.Use(static (context, next) =>
        {
            // The port reports on calls, and is not one of the calls that it reports on.
            if (context.Features.Get<IHttpMetricsTagsFeature>() is { } tags) tags.MetricsDisabled = true;
            return next(context);
        });
        port.UseHealthChecks(Live, HealthPage.Of(check => check.Name == ServiceHealth.Live));
        port.UseHealthChecks(Ready, HealthPage.Of(_ => true));
        port.UseWhen(context => context.Request.Path == Metrics, page => page.Use(VllmPage.RenameAsync));
        port.UseOpenTelemetryPrometheusScrapingEndpoint();
        port.Run(static context =>
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return context.Response.WriteAsync($"There is GET {Metrics}, GET {Live} and GET {Ready}.\n");
        });
    }

    private sealed class Filter(IOptions<EndpointOptions> options) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.MapWhen(context => IsManagement(context, options.Value), Answer);
            next(app);
        };
    }
}
