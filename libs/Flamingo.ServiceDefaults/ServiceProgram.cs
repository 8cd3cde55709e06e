using System.Reflection;
using Flamingo.Configuration;
using Flamingo.ServiceDefaults.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace Flamingo.ServiceDefaults;

/// <summary>
/// The main program of every service process. It sets up endpoints, health checks, reflection and telemetry, reports
/// configuration errors before the start, and waits for calls in flight at the end.
/// </summary>
public static class ServiceProgram
{
    private const int Interrupted = 130; // the exit code that shells report for a program ended by SIGINT

    /// <summary>
    /// Builds a service and runs it until a signal or the token stops it. With the argument <c>--health</c> it checks the health
    /// of a running service instead, and with <c>--health=flamingo.live</c> only whether it is live.
    /// </summary>
    /// <param name="register">Registers the service's own components.</param>
    /// <param name="map">Maps the service's endpoints. It should resolve the stage, so that a damaged model prevents the start.</param>
    /// <returns>
    /// 0 after an orderly stop; 1 if the start failed, with one report on standard error; 130 if a second signal aborted calls in flight.
    /// </returns>
    public static async Task<int> RunAsync(
        string[] args, Action<WebApplicationBuilder> register, Action<WebApplication> map, CancellationToken cancellation = default)
    {
        var program = Assembly.GetEntryAssembly()!.GetName().Name;
        try
        {
            string[] arguments = [.. args.Where(argument => HealthProbe.ServiceIn(argument) is null)];
            // The appsettings.json beside the program holds its defaults, whatever the current directory is.
            var builder = WebApplication.CreateBuilder(new WebApplicationOptions
            {
                Args = arguments, ContentRootPath = AppContext.BaseDirectory,
            });
            builder.Configuration.AddOptionSources(arguments);
            if (args.Select(HealthProbe.ServiceIn).FirstOrDefault(name => name is not null) is { } service)
                return await HealthProbe.RunAsync(Checked(Endpoints(builder)).GrpcPort, service, Checked(Tls(builder)));

            builder.AddServiceDefaults();
            register(builder);
            await using var app = builder.Build();
            app.CheckBeforeStart();
            map(app);
            app.MapServiceDefaults();
            var orderly = await app.ServeAsync(() => Task.CompletedTask, cancellation);
            // Environment.ExitCode is not 0 if a component has stopped the process, for example because its device failed.
            return orderly ? Environment.ExitCode : Interrupted;
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            // Only the operator reads this, so it is one report without a stack trace.
            var faults = Faults(exception).ToList();
            var report = faults.Count == 1 ? faults[0] : string.Join("", faults.Select(fault => $"\n  {fault}"));
            await Console.Error.WriteLineAsync($"{program} does not start: {report}");
            return 1;
        }
    }

    public static WebApplicationBuilder AddServiceDefaults(this WebApplicationBuilder builder)
    {
        builder.Services.AddOptionSection<EndpointOptions>(EndpointOptions.Section);
        builder.Services.AddOptionSection<TlsOptions>(TlsOptions.Section);
        builder.Services.AddSingleton<IValidateOptions<TlsOptions>, TlsOptionRules>().AddSingleton<ServerTls>();
        var (endpoints, isTls) = (Endpoints(builder).Read(), Tls(builder).Read().IsOn);

        // The container images set ASPNETCORE_HTTP_PORTS, which would open a port for HTTP/1.1. These settings override it.
        builder.WebHost.UseSetting("urls", "").UseSetting("http_ports", "");
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null; // gRPC has its own limit
            // the options validation reports an invalid port together with all other faults
            Listen(Math.Clamp(endpoints.GrpcPort, 1, 65535), listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                if (isTls) ServerTls.Use(listen);
                listen.ExplainToOlderHttp(builder.Environment.ApplicationName, isTls);
            });
            // Without TLS a port cannot negotiate, so HTTP/1.1 has a port of its own. It is the same with TLS, so that callers change
            // only the scheme of their address.
            if (endpoints.HttpPort is > 0 and <= 65535)
                Listen(endpoints.HttpPort, listen =>
                {
                    listen.Protocols = HttpProtocols.Http1;
                    if (isTls) ServerTls.Use(listen);
                });

            void Listen(int port, Action<ListenOptions> configure)
            {
                if (endpoints.Listen == "loopback") kestrel.ListenLocalhost(port, configure);
                else kestrel.ListenAnyIP(port, configure);
            }
        });

        builder.Services.AddSingleton<RunningCalls>();
        builder.Services.AddSingleton<UnreadAnswers>();
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = endpoints.DrainTimeout);
        builder.Services.AddServiceHealth();
        builder.Services.AddGrpcReflection();
        builder.Logging.AddSimpleConsole(console => console.SingleLine = true);

        var telemetry = builder.Services.AddOpenTelemetry()
            .WithMetrics(metrics => metrics.AddAspNetCoreInstrumentation().AddRuntimeInstrumentation().AddMeter("Flamingo.*"))
            .WithTracing(tracing => tracing.AddAspNetCoreInstrumentation().AddHttpClientInstrumentation());
        if (TelemetryCollector(builder.Configuration) is not null)
            telemetry.WithMetrics(metrics => metrics.AddOtlpExporter()).WithTracing(tracing => tracing.AddOtlpExporter());
        return builder;
    }

    public static WebApplication MapServiceDefaults(this WebApplication app)
    {
        app.Use(app.Services.GetRequiredService<RunningCalls>().CountAsync);
        app.Use(app.Services.GetRequiredService<UnreadAnswers>().WatchAsync);
        app.MapGrpcHealthChecksService().AllowAnonymous(); // probes have no key
        app.MapGrpcReflectionService();
        return app;
    }

    /// <returns>The address of the collector that OpenTelemetry's own variable names, or null.</returns>
    internal static string? TelemetryCollector(IConfiguration configuration) =>
        configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is { Length: > 0 } collector ? collector : null;

    // The port must be known before the service container, which validates options, is built.
    private static OptionSection<EndpointOptions> Endpoints(WebApplicationBuilder builder) =>
        new(builder.Configuration, EndpointOptions.Section);

    private static OptionSection<TlsOptions> Tls(WebApplicationBuilder builder) => new(builder.Configuration, TlsOptions.Section);

    private static T Checked<T>(OptionSection<T> section)
        where T : class, new()
    {
        var (options, wrong) = (section.Read(), section.Validate(null, section.Read()));
        return wrong.Succeeded ? options : throw new OptionsValidationException("", typeof(T), wrong.Failures);
    }

    // Options of several sections are validated together, and each section may have several faults.
    private static IEnumerable<string> Faults(Exception exception) => exception switch
    {
        AggregateException several => several.InnerExceptions.SelectMany(Faults),
        TargetInvocationException { InnerException: { } inner } => Faults(inner),
        OptionsValidationException options => options.Failures,
        _ => [exception.Message],
    };
}
