using System.CommandLine;
using System.Text.Json;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Caching;

/// <summary>
/// <c>flamingo cache</c>: what the latent cache of a running server holds and saved, filling it ahead of time, emptying it.
/// </summary>
public static class CacheCommand
{
    public static Command Create() =>
        new("cache", "The latent cache of a running server: see it, fill it, empty it.") { Stats(), WarmCommand.Create(), Clear() };

    private static Command Stats()
    {
        var server = ServerAddress.Create(required: true);
        var json = new Option<bool>("--json")
        {
            Description = "Print one JSON object: memory, redis (null where it is off), encoded, waits, shared_waits, saved_ms.",
        };
        const string Description = "Tell what the cache of the gateway that answers holds, and hits, misses and time saved since it "
            + "started; all tenants together.";
        var command = new Command("stats", Description) { server, json };
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var opened = OpenedFlamingo.Connect(parsed.GetRequiredValue(server));
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
        const string Description = "Empty Redis of this installation's latents, and the memory of every gateway on it, for all tenants. "
            + "Pictures are encoded again when they are sent; ids of pictures nobody sends again are not found. Support sets stay.";
        var command = new Command("clear", Description) { server };
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var opened = OpenedFlamingo.Connect(parsed.GetRequiredValue(server));
            var cleared = await opened.LatentCache.ClearAsync(cancellation);
            await parsed.InvocationConfiguration.Output.WriteLineAsync(
                $"Removed {Page.Count(cleared.MemoryEntries)} entries from memory and {Page.Count(cleared.RedisEntries)} from Redis.");
            return ExitCode.Done;
        });
        return command;
    }
}
