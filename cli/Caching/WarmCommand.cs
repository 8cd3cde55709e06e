using System.CommandLine;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Caching;

/// <summary><c>flamingo cache warm</c> encodes pictures ahead of time. Pictures that the server already holds are not sent.</summary>
public static class WarmCommand
{
    public static Command Create()
    {
        var source = new Argument<string>("SOURCE")
        {
            Description = "A folder, which is searched recursively for JPEG, PNG, WebP, GIF and BMP files; one such file; or a text file "
            + "('-' is standard input) with one JSON object {\"picture\": \"path relative to the file\", …} per line, "
            + "whose other members are ignored.",
        };
        var (server, tenant) = (ServerAddress.Create(required: true), TenantOption.Create());
        var batch = NumberOption.Create<int>(
            "--batch", "N", "Pictures per request. By default a server accepts up to 64.", 1, 64, value: 16);
            var concurrency = NumberOption.Create<int>("--concurrency", "N", "Number of concurrent requests.", 1, 64, value: 4);
        var pooled = new Option<bool>("--pooled")
        {
            Description = "Cache CLIP's pooled embeddings too. Prompts with --select rices need them.",
        };
        const string Description =
            "Encode pictures ahead of time. The command requests each picture by id first and sends only the pictures "
        + "that the server does not hold, so an interrupted run can be started again and continues where it stopped.";
        var command = new Command("warm", Description) { source, server, KeyOption.Create(), tenant, batch, concurrency, pooled };
        CertificateOptions.AddTo(command, server);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var files = PictureFiles.Find(parsed.GetRequiredValue(source));
            await using var opened = OpenedFlamingo.Connect(parsed, parsed.GetRequiredValue(server));
            var (batchSize, requests) = (parsed.GetRequiredValue(batch)!.Value, parsed.GetRequiredValue(concurrency)!.Value);
            var warmer = new CacheWarmer(opened.Flamingo, parsed.GetRequiredValue(tenant), parsed.GetValue(pooled), TimeProvider.System);
            try
            {
                await ProgressBar.RunAsync(error, async report =>
                {
                    await warmer.RunAsync(files, batchSize, requests, report, cancellation);
                    return warmer;
                });
            }
            finally
            {
                foreach (var (file, problem) in warmer.Bad) await error.WriteLineAsync($"flamingo: {file}: {problem}");
                var left = files.Count - warmer.Held - warmer.Sent - warmer.Bad.Count;
                await output.WriteLineAsync(
                    $"{Page.Count(files.Count)} pictures: {Page.Count(warmer.Sent)} sent, {Page.Count(warmer.Held)} held already, "
                    + $"{Page.Count(warmer.Bad.Count)} bad{(left > 0 ? $", {Page.Count(left)} left. Run the command again" : "")}.");
            }

            return warmer.Bad.Count == 0 ? ExitCode.Done : ExitCode.Failed;
        });
        return command;
    }
}
