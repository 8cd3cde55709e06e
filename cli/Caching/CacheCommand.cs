using System.CommandLine;
using System.Text.Json;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Caching;

/// <summary>
/// <c>flamingo cache</c> prints statistics of a running server's latent cache, fills the cache ahead of time, and clears it.
/// </summary>
public static class CacheCommand
{
    public static Command Create() =>
        new("cache", "Show, fill or clear the latent cache of a running server.") { Stats(), WarmCommand.Create(), Clear() };

    private static Command Stats()
    {
        var server = ServerAddress.Create(required: true);
        var json = new Option<bool>("--json")
        {
            Description = "Print one JSON object: memory, redis (null without Redis), encoded, waits, shared_waits, saved_ms.",
        };
        const string Description =
            "Print what the latent cache holds, and its hits, misses and saved time since the gateway started, for all "
        + "tenants together. The figures are those of the gateway that receives the call.";
        var command = new Command("stats", Description) { server, KeyOption.Create(), json };
        CertificateOptions.AddTo(command, server);
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var opened = OpenedFlamingo.Connect(parsed, parsed.GetRequiredValue(server));
            var (statistics, output) = (await opened.LatentCache.GetStatisticsAsync(cancellation), parsed.InvocationConfiguration.Output);
            if (parsed.GetValue(json))
                await output.WriteLineAsync(JsonSerializer.Serialize(StatisticsReport.Object(statistics), Page.Json));
            else StatisticsReport.Write(statistics, output);
            return ExitCode.Done;
        });
        return command;
    }

    private static Command Clear()
    {
        var server = ServerAddress.Create(required: true);
        const string Description = "Remove all latents of this installation from Redis and from the memory of every gateway that uses this "
        + "Redis, for all tenants. A picture is encoded again when it is sent again; until then its id is not found. Support sets stay.";
        var command = new Command("clear", Description) { server, KeyOption.Create() };
        CertificateOptions.AddTo(command, server);
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var opened = OpenedFlamingo.Connect(parsed, parsed.GetRequiredValue(server));
            var cleared = await opened.LatentCache.ClearAsync(cancellation);
            await parsed.InvocationConfiguration.Output.WriteLineAsync(
                $"Removed {Page.Count(cleared.MemoryEntries)} entries from memory and {Page.Count(cleared.RedisEntries)} from Redis.");
            return ExitCode.Done;
        });
        return command;
    }
}
