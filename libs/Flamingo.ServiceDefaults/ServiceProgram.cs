using System.Reflection;
using Flamingo.Configuration;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace Flamingo.ServiceDefaults;

/// <summary>What every service process does the same: endpoints, health, reflection, telemetry, refusal to start, drain.</summary>
public static partial class ServiceProgram
{
    private const int Interrupted = 130; // as shells say it of SIGINT

    /// <summary>Builds and runs a service until it is told to stop; answers <c>--health</c> instead where that is asked.</summary>
    /// <param name="register">Adds the service's own parts.</param>
    /// <param name="map">Maps its endpoints; resolving a stage here lets a damaged model refuse the start.</param>
    /// <returns>
    /// 0 after an orderly stop; 1 where the start was refused, with one report on standard error; 130 where a second signal cut calls off.
    /// </returns>
    public static async Task<int> RunAsync(
        string[] args, Action<WebApplicationBuilder> register, Action<WebApplication> map, CancellationToken cancellation = default)
    {
        var program = Assembly.GetEntryAssembly()!.GetName().Name;
        try
        {
            string[] arguments = [.. args.Where(argument => argument != HealthProbe.Argument)];
            // the appsettings.json beside the program holds its defaults, wherever it is started
            var builder = WebApplication.CreateBuilder(new WebApplicationOptions
            {
                Args = arguments, ContentRootPath = AppContext.BaseDirectory,
            });
            builder.Configuration.AddOptionSources(arguments);
            if (args.Contains(HealthProbe.Argument)) return await HealthProbe.RunAsync(Checked(Endpoints(builder)).GrpcPort);

            builder.AddServiceDefaults();
            register(builder);
            await using var app = builder.Build();
            app.CheckBeforeStart();
            map(app);
            app.MapServiceDefaults();
            var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(ServiceRun));
            var orderly = await app.ServeAsync(() => Task.CompletedTask, sentence => Stopping(logger, sentence), cancellation);
            // not 0 where a part of the process ended it, because its device failed for example
            return orderly ? Environment.ExitCode : Interrupted;
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            // before the first request nothing but the operator reads this: one report, no stack
            var faults = Faults(exception).ToList();
            var report = faults.Count == 1 ? faults[0] : string.Join("", faults.Select(fault => $"\n  {fault}"));
            await Console.Error.WriteLineAsync($"{program} does not start: {report}");
            return 1;
        }
    }

    public static WebApplicationBuilder AddServiceDefaults(this WebApplicationBuilder builder)
    {
        builder.Services.AddOptionSection<EndpointOptions>(EndpointOptions.Section);
        var endpoints = Endpoints(builder).Read();

        // the images' ASPNETCORE_HTTP_PORTS would open an HTTP/1.1 port: endpoints set here replace it
        builder.WebHost.UseSetting("urls", "").UseSetting("http_ports", "");
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null; // gRPC has its own limit
            var port = Math.Clamp(endpoints.GrpcPort, 1, 65535); // another is reported with all other faults, not by Kestrel before them
            if (endpoints.Listen == "loopback") kestrel.ListenLocalhost(port, Listen);
            else kestrel.ListenAnyIP(port, Listen);
        });

        void Listen(ListenOptions listen)
        {
            listen.Protocols = HttpProtocols.Http2;
            listen.ExplainToOlderHttp(builder.Environment.ApplicationName);
        }

        builder.Services.AddSingleton<RunningCalls>();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = endpoints.DrainTimeout);
        builder.Services.AddGrpcHealthChecks().AddCheck("serving", () => HealthCheckResult.Healthy());
        builder.Services.AddGrpcReflection();
        builder.Logging.AddSimpleConsole(console => console.SingleLine = true);

        var telemetry = builder.Services.AddOpenTelemetry()
            .WithMetrics(metrics => metrics.AddAspNetCoreInstrumentation().AddRuntimeInstrumentation().AddMeter("Flamingo.*"))
            .WithTracing(tracing => tracing.AddAspNetCoreInstrumentation().AddHttpClientInstrumentation());
        if (builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is { Length: > 0 })
            telemetry.WithMetrics(metrics => metrics.AddOtlpExporter()).WithTracing(tracing => tracing.AddOtlpExporter());
        return builder;
    }

    public static WebApplication MapServiceDefaults(this WebApplication app)
    {
        app.Use(app.Services.GetRequiredService<RunningCalls>().CountAsync);
        app.MapGrpcHealthChecksService();
        app.MapGrpcReflectionService();
        return app;
    }

    // before the container that validates options is built
    private static OptionSection<EndpointOptions> Endpoints(WebApplicationBuilder builder) =>
        new(builder.Configuration, EndpointOptions.Section);

    private static EndpointOptions Checked(OptionSection<EndpointOptions> section)
    {
        var (options, wrong) = (section.Read(), section.Validate(null, section.Read()));
        return wrong.Succeeded ? options : throw new OptionsValidationException("", typeof(EndpointOptions), wrong.Failures);
    }

    [LoggerMessage(1, LogLevel.Information, "{Sentence}")]
    private static partial void Stopping(ILogger logger, string sentence);

    // options of several sections fail together, each with several members
    private static IEnumerable<string> Faults(Exception exception) => exception switch
    {
        AggregateException several => several.InnerExceptions.SelectMany(Faults),
        TargetInvocationException { InnerException: { } inner } => Faults(inner),
        OptionsValidationException options => options.Failures,
        _ => [exception.Message],
    };
}
