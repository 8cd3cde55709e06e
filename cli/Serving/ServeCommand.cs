using System.CommandLine;
using System.Globalization;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Gateway.Doors;
using Flamingo.Gateway.Security;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;

namespace Flamingo.Cli.Serving;

/// <summary><c>flamingo serve</c> runs all stages and the gateway in one process and serves the public service over gRPC.</summary>
public static class ServeCommand
{
    public const string Name = "serve";

    public static Command Create()
    {
        var model = ModelOption.Create();
        var port = NumberOption.Create<int>(
            "--grpc-port", "N",
            "Port for gRPC (HTTP/2; with TLS if Tls:CertificateFile is set) on all network interfaces. Default: 8080.", 1, 65535);
        var http = NumberOption.Create<int>(
            "--http-port", "N", "Port for HTTP/1.1: OpenAI's API, JSON and gRPC-Web. Default: none.", 1, 65535);
        var redis = new Option<string>("--redis")
        {
            HelpName = "CONNECTION",
            Description =
                "Redis as the second tier of the latent cache and for support sets, for example localhost:6379. Default: both are "
            + "kept in memory only.",
        };
        var command = new Command(Name, "Serve all stages from one process until Ctrl-C: Generate, Rank, Encode, GetModel, tasks, "
        + "support sets and the latent cache over gRPC, with health checks and reflection.")
        {
            model, port, http, redis, SettingOption.Create(),
        };
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var app = Build(
                SettingOption.Of(parsed), ("Model:Directory", parsed.GetValue(model)?.FullName),
                ("Endpoints:GrpcPort", parsed.GetValue(port)?.ToString(CultureInfo.InvariantCulture)),
                ("Endpoints:HttpPort", parsed.GetValue(http)?.ToString(CultureInfo.InvariantCulture)),
                ("Redis:ConnectionString", parsed.GetValue(redis)));
            var output = parsed.InvocationConfiguration.Output;
            var endpoints = app.Services.GetRequiredService<IOptions<EndpointOptions>>().Value;
            var scheme = app.IsTls() ? "https" : "http";
            var web = endpoints.HttpPort > 0 ? $" and {scheme}://localhost:{endpoints.HttpPort} (HTTP)" : "";
            var ready = $"{app.Configuration["Model:Directory"]} is served on {scheme}://localhost:{endpoints.GrpcPort} (gRPC){web}. "
                + "Ctrl-C stops.";
            var orderly = await app.ServeAsync(() => output.WriteLineAsync(ready), cancellation);
            // not Done, because a component may have stopped the process with an exit code
            return orderly ? Environment.ExitCode : ExitCode.Interrupted;
        });
        return command;
    }

    /// <summary>Builds the server of this process, not started yet.</summary>
    /// <param name="settings">As <see cref="SettingOption.Of"/> returns them.</param>
    /// <param name="named">Options of docs/options.md that the command sets itself; those without a value are left alone.</param>
    internal static WebApplication Build(IReadOnlyList<string> settings, params (string Key, string? Value)[] named)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Configuration.AddInMemoryCollection(
        [
            new("Logging:LogLevel:Default", "Warning"), new("Logging:LogLevel:Flamingo", "Information"),
        ]);
        builder.Configuration.AddCommandSources(settings, named);
        builder.AddServiceDefaults();
        builder.Services.Configure<ConsoleLoggerOptions>(
            console => console.LogToStandardErrorThreshold = Microsoft.Extensions.Logging.LogLevel.Trace);
        builder.Services.AddEmbeddedFlamingo().AddStageServing().AddHttpDoors().AddFlamingoSecurity();
        var app = builder.Build();
        SettingOption.CheckSections(app.Services, settings);
        app.CheckBeforeStart();
        app.UseHttpDoors().UseFlamingoSecurity().MapFlamingo().MapHttpDoors();
        app.MapServiceDefaults();
        return app;
    }
}
