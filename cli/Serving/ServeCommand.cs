using System.CommandLine;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.ServiceDefaults;
using Flamingo.Transport.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Console;

namespace Flamingo.Cli.Serving;

/// <summary><c>flamingo serve</c>: all stages and the gateway in one process, the public service over gRPC.</summary>
public static class ServeCommand
{
    public static Command Create()
    {
        var model = ModelOption.Create();
        var port = NumberOption.Create<int>("--grpc-port", "N", "Port of gRPC (HTTP/2 without TLS) on every address.", 1, 65535, value: 8080);
        var redis = new Option<string>("--redis") { HelpName = "CONNECTION", Description = "Redis for latents behind those in memory, and for support sets, for example localhost:6379. Default: memory alone." };
        var command = new Command("serve", "Serve all stages from one process until Ctrl-C: Generate, Rank, Encode, GetModel, tasks, support sets and the latent cache over gRPC, with health and reflection.") { model, port, redis };
        command.SetAction(async (parsed, cancellation) =>
        {
            var directory = parsed.GetValue(model)?.FullName ?? DefaultModel.Find();
            await using var app = Build(directory, parsed.GetRequiredValue(port)!.Value, parsed.GetValue(redis));
            await app.StartAsync(cancellation);
            await parsed.InvocationConfiguration.Output.WriteLineAsync($"{directory} is served on http://localhost:{parsed.GetValue(port)} (gRPC). Ctrl-C stops.");
            await app.WaitForShutdownAsync(cancellation);
            return ExitCode.Done;
        });
        return command;
    }

    private static WebApplication Build(string modelDirectory, int port, string? redis)
    {
        // the folder that the command is run from holds no configuration of ours
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Configuration.AddInMemoryCollection(
        [
            new("Model:Directory", modelDirectory), new("Endpoints:GrpcPort", $"{port}"), new("Redis:ConnectionString", redis ?? ""),
            new("Logging:LogLevel:Default", "Warning"), new("Logging:LogLevel:Flamingo.LanguageModel", "Information"), // memory, stated at start
        ]);
        builder.AddServiceDefaults();
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = Microsoft.Extensions.Logging.LogLevel.Trace);
        builder.Services.AddEmbeddedFlamingo().AddStageServing();
        var app = builder.Build();
        app.MapFlamingo();
        app.MapServiceDefaults();
        return app;
    }
}
