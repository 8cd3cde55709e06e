using Flamingo.Configuration;
using Flamingo.ServiceDefaults.Management;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Flamingo.ServiceDefaults;

/// <summary>
/// Where the metrics and traces of a process go: to the collector that OpenTelemetry's own variables name, and metrics also to the page of
/// the management port. Without either, nothing is collected.
/// </summary>
internal static class Telemetry
{
    /// <summary>The meters and the sources of spans of all rooms, and the meter whose instruments have the names of vLLM.</summary>
    private const string Own = "Flamingo.*", VllmMeter = "Vllm";

    /// <summary>The source of the spans of gRPC calls, which are the parents of the spans of their HTTP requests.</summary>
    private const string GrpcClient = "Grpc.Net.Client";

    public static void AddTelemetry(this WebApplicationBuilder builder, EndpointOptions endpoints)
    {
        builder.Services.AddOptionSection<TelemetryOptions>(TelemetryOptions.Section);
        var options = new OptionSection<TelemetryOptions>(builder.Configuration, TelemetryOptions.Section).Read();
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource =>
            {
                // OpenTelemetry's own variables come first.
                if (builder.Configuration["OTEL_SERVICE_NAME"] is null) resource.AddService(builder.Environment.ApplicationName);
            })
            .WithMetrics(metrics =>
            {
                metrics.AddAspNetCoreInstrumentation().AddRuntimeInstrumentation().AddMeter(Own);
                if (options.VllmNames) metrics.AddMeter(VllmMeter);
            })
            .WithTracing(tracing => tracing.AddSource(Own, GrpcClient)
                .AddAspNetCoreInstrumentation(calls => calls.Filter = context => !ManagementPort.IsManagement(context, endpoints))
                .AddHttpClientInstrumentation());
        if (endpoints.ManagementPort > 0) builder.Services.AddManagementPort();
        if (Collector(builder.Configuration) is not null)
            telemetry.WithMetrics(metrics => metrics.AddOtlpExporter()).WithTracing(tracing => tracing.AddOtlpExporter());
    }

    /// <returns>The address of the collector that OpenTelemetry's own variable names, or null.</returns>
    public static string? Collector(IConfiguration configuration) =>
        configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is { Length: > 0 } collector ? collector : null;
}
