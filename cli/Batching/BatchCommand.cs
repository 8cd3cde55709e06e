using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Evaluation.Sending;

namespace Flamingo.Cli.Batching;

/// <summary><c>flamingo batch</c> answers a file of prompts and tasks, many at a time, and goes on where an earlier start ended.</summary>
public static class BatchCommand
{
    // So many answers per request in flight may wait for an earlier one.
    private const int MostAheadPerRequest = 16;

    public static Command Create()
    {
        var input = new Option<FileInfo>("--input", "-i") { HelpName = "FILE.jsonl", Required = true,
            Description = "A prompt or task per line (docs/bulk.md), or OpenAI's batch lines. Paths of pictures are relative to FILE." };
        var output = new Option<FileInfo>("--output", "-o") { HelpName = "FILE.jsonl", Required = true,
            Description = "An answer per line. A second start with the same command goes on where the first ended." };
        var order = new Option<string>("--order") { HelpName = "input|completion", DefaultValueFactory = _ => "input",
            Description = "Whether answers are written in the order of the input, or as they come." };
        order.MustBeOneOf("input", "completion");
        var format = new Option<string>("--format") { HelpName = "auto|flamingo|openai", DefaultValueFactory = _ => "auto",
            Description = "The format of the lines. auto takes OpenAI's if the first line has a custom_id. OpenAI's lines go to --server's "
            + "HTTP port." };
        format.MustBeOneOf("auto", "flamingo", "openai");
        var inFlight = NumberOption.Create<int>("--in-flight", "N", "Requests in flight at the same time.", 1, 1024,
            value: SendingOptions.Default.InFlight);
        var patience = NumberOption.Create<double>("--patience", "SECONDS",
            "How long a server may be away or overloaded before a line fails.",
            0, 86_400, value: SendingOptions.Default.Patience.TotalSeconds);
        var restart = new Option<bool>("--restart") { Description = "Overwrite the output of an earlier run." };
        var answerer = new AnswererOptions(takesExamples: false, takesPin: false);
        var command = new Command("batch", "Answer a file of prompts and tasks, many at a time. Errors stand beside their lines.")
            { input, output, order, format, inFlight, patience, restart };
        answerer.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var error = parsed.InvocationConfiguration.Error;
            var (from, to) = (parsed.GetRequiredValue(input).FullName, parsed.GetRequiredValue(output).FullName);
            if (from == to) throw new UsageException("--input and --output are the same file. Name another output.");
            var (lines, hash) = Survey(from);
            var isOpenAi = parsed.GetValue(format) switch { "openai" => true, "flamingo" => false, _ => HasCustomId(from) };
            var identity = new Dictionary<string, string>
            {
                ["input"] = hash, ["format"] = isOpenAi ? "openai" : "flamingo",
                ["tenant"] = answerer.Tenant(parsed),
            };
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            var most = parsed.GetValue(inFlight)!.Value;
            using var answers = OrderedOutput.Open(
                to, parsed.GetValue(order) == "input", most * MostAheadPerRequest, identity, parsed.GetValue(restart),
                BatchRun.IsFailure);
            if (answers.Known + answers.Failed > 0)
                error.WriteLine($"flamingo: {answers.Known} of {lines} lines are answered already"
                    + (answers.Failed > 0 ? $", and {answers.Failed} that failed are asked again." : "."));

            await using var asker = isOpenAi ? await OpenAiAsync() : await FlamingoAsync();
            var sending = new SendingOptions(most, TimeSpan.FromSeconds(parsed.GetValue(patience)!.Value));
            // Not the address: the same model may be served at another one when the run goes on.
            answers.Confirm("model", asker.Model);
            return await new BatchRun(answers, sending, TimeProvider.System, isOpenAi, error)
                .RunAsync(from, lines, asker.Ask, cancellation);

            async Task<Asker> FlamingoAsync()
            {
                var opened = answerer.Server(parsed) is { } address ? OpenedFlamingo.Connect(parsed, address)
                    : OpenedFlamingo.Load(answerer.Model(parsed), SettingOption.Of(parsed), error);
                try
                {
                    var served = await opened.Flamingo.GetModelAsync(cancellation); // says at once if there is no server
                    return new Asker(
                        new BatchTasks(opened, InputFile.Folder(from), answerer.Tenant(parsed)).AskAsync, opened,
                        Digests(served.Vision.WeightsDigest, served.Resampler.WeightsDigest, served.Language.WeightsDigest));
                }
                catch
                {
                    await opened.DisposeAsync();
                    throw;
                }
            }

            async Task<Asker> OpenAiAsync()
            {
                var batch = answerer.Server(parsed) is { } address
                    ? OpenAiBatch.Connect(address, KeyOption.Of(parsed), answerer.Tenant(parsed))
                    : await OpenAiBatch.StartAsync(answerer.Model(parsed), SettingOption.Of(parsed), cancellation);
                try
                {
                    return new Asker(batch.AskAsync, batch, Digests([.. await batch.DigestsAsync(cancellation)]));
                }
                catch
                {
                    await batch.DisposeAsync();
                    throw;
                }
            }
        });
        return command;
    }

    // The number of lines is needed for the estimate, and the digest to know the file again.
    private static (long Lines, string Digest) Survey(string path)
    {
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var (lines, buffer, last) = (0L, new byte[1 << 16], (byte)'\n');
            using var file = File.OpenRead(path);
            for (int read; (read = file.Read(buffer)) > 0; last = buffer[read - 1])
            {
                hash.AppendData(buffer, 0, read);
                lines += buffer.AsSpan(0, read).Count((byte)'\n');
            }

            if (last != '\n') lines++;
            return lines > 0 ? (lines, Convert.ToHexStringLower(hash.GetHashAndReset())[..16])
                : throw new UsageException($"--input: {path} is empty. Write one JSON object per line.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--input: {path} cannot be read: {exception.Message}");
        }
    }

    private static bool HasCustomId(string path)
    {
        try
        {
            using var first = JsonDocument.Parse(File.ReadLines(path).FirstOrDefault(line => !string.IsNullOrWhiteSpace(line)) ?? "");
            return first.RootElement.ValueKind == JsonValueKind.Object && first.RootElement.TryGetProperty("custom_id", out _);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static string Digests(params string[] ofParts) =>
        string.Join(' ', ofParts.Select(digest => digest[..Math.Min(16, digest.Length)]));

    /// <summary>What asks a line, and what it holds.</summary>
    /// <param name="Model">Digests of the weights that answer.</param>
    private sealed record Asker(Func<JsonElement, CancellationToken, Task<JsonObject>> Ask, IAsyncDisposable Owner, string Model)
        : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => Owner.DisposeAsync();
    }
}
