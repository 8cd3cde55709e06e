using System.CommandLine;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Caching;

/// <summary><c>flamingo cache warm</c>: encodes pictures ahead of time; what the server holds already is not sent.</summary>
public static class WarmCommand
{
    public static Command Create()
    {
        var source = new Argument<string>("SOURCE")
        {
            Description = "A folder, searched with all below it for JPEG, PNG, WebP, GIF and BMP files, "
                + "one such file, or a file ('-' is standard input) of lines {\"picture\": \"path beside the file\", …}, "
                + "whose other members are ignored.",
        };
        var (server, tenant) = (ServerAddress.Create(required: true), TenantOption.Create());
        var batch = NumberOption.Create<int>(
            "--batch", "N", "Pictures per request; a server takes 64 unless told otherwise.", 1, 64, value: 16);
        var concurrency = NumberOption.Create<int>("--concurrency", "N", "Requests at once.", 1, 64, value: 4);
        var pooled = new Option<bool>("--pooled")
        {
            Description = "CLIP's pooled embeddings too, so that prompts with --select rices find their pictures whole.",
        };
        const string Description = "Encode pictures ahead of time. Asks by id first and sends only what the server does not hold, so that "
            + "a run that was cut off goes on where it was.";
        var command = new Command("warm", Description) { source, server, tenant, batch, concurrency, pooled };
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var files = PictureFiles.Find(parsed.GetRequiredValue(source));
            await using var opened = OpenedFlamingo.Connect(parsed.GetRequiredValue(server));
            var (most, atOnce) = (parsed.GetRequiredValue(batch)!.Value, parsed.GetRequiredValue(concurrency)!.Value);
            var warmer = new CacheWarmer(opened.Flamingo, parsed.GetRequiredValue(tenant), parsed.GetValue(pooled), TimeProvider.System);
            try
            {
                await ProgressBar.RunAsync(error, async report =>
                {
                    await warmer.RunAsync(files, most, atOnce, report, cancellation);
                    return warmer;
                });
            }
            finally
            {
                foreach (var (file, problem) in warmer.Bad) await error.WriteLineAsync($"flamingo: {file}: {problem}");
                var left = files.Count - warmer.Held - warmer.Sent - warmer.Bad.Count;
                await output.WriteLineAsync(
                    $"{Page.Count(files.Count)} pictures: {Page.Count(warmer.Sent)} sent, {Page.Count(warmer.Held)} held already, "
                        + $"{Page.Count(warmer.Bad.Count)} bad{(left > 0 ? $", {Page.Count(left)} left: run it again" : "")}.");
            }

            return warmer.Bad.Count == 0 ? ExitCode.Done : ExitCode.Failed;
        });
        return command;
    }
}
