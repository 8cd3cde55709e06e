using System.CommandLine;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary><c>flamingo generate</c>: a prompt in, its continuation out, in this process or from a server.</summary>
public static class GenerateCommand
{
    public static Command Create()
    {
        var prompt = new Option<FileInfo>("--prompt", "-p") { HelpName = "FILE.json", Description = "The prompt: {\"segments\": [{\"picture\": \"path beside the file\"}, {\"text\": \"…\"}, {\"picture_id\": \"…\"}], \"sampling\": {\"max_tokens\": 14, \"temperature\": 0}}." };
        var model = ModelOption.Create();
        var server = new Option<Uri>("--server", "-s") { HelpName = "URL", Description = "Ask a running server instead of loading a model, for example http://localhost:8080.", CustomParser = ServerAddress.Parse };
        var json = new Option<bool>("--json") { Description = "Print one JSON object when the answer is whole: text, ids, finish_reason, pictures, timings (milliseconds); cached_tokens with --pin, log_probabilities and samples where asked for." };
        var pin = new Option<double?>("--pin") { HelpName = "SECONDS", Description = "Keep the computed prompt for so long, for a server that will be asked again with the same examples." };
        var attention = new Option<FileInfo>("--attention") { HelpName = "FILE.png", Description = "Draw what each generated token looked at, over the last picture, as a sheet of panels in reading order; every answer begins a row." };
        var inline = new InlinePrompt();
        var sampling = new SamplingOptions();
        var command = new Command("generate", "Continue an interleaved prompt of pictures and text. The text goes to standard output as it is made, everything else to standard error.") { prompt };
        inline.AddTo(command);
        command.Add(model);
        command.Add(server);
        command.Add(json);
        command.Add(pin);
        command.Add(attention);
        sampling.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetResult(model) is not null && result.GetResult(server) is not null) result.AddError("--model and --server exclude each other. A server has its own model.");
            if (result.GetResult(prompt) is not null == inline.IsGiven(result)) result.AddError("Give either --prompt FILE.json or --shot/--picture, one of them.");
            if (result.GetResult(pin) is not null && !(result.GetValue(pin) is > 0 and <= 31_536_000)) result.AddError("--pin takes seconds, more than 0 and at most a year.");
            if (result.GetValue(attention) is { Extension: not ".png" } file) result.AddError($"--attention: {file.Name} is no .png file. Name one.");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var request = parsed.GetValue(prompt) is { } file ? PromptFile.Read(file.ToString()) : new FlamingoRequest(inline.Read(parsed), new SamplingParameters());
            request = request with
            {
                Sampling = sampling.Apply(parsed, request.Sampling),
                PinPrefix = parsed.GetValue(pin) is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
                Attention = parsed.GetValue(attention) is null ? null : new AttentionChoice([], []),
            };
            await using var opened = parsed.GetValue(server) is { } address
                ? OpenedFlamingo.Connect(address)
                : OpenedFlamingo.Load(parsed.GetValue(model)?.FullName ?? DefaultModel.Find(), error);
            var answer = await new AnswerWriter(output, error, request, parsed.GetValue(json)).WriteAsync(opened.Flamingo.GenerateAsync(request, cancellation), cancellation);
            if (parsed.GetValue(attention) is { } sheet) await AttentionSheet.WriteAsync(sheet.FullName, answer, request.Segments, error);
            return ExitCode.Done;
        });
        return command;
    }
}
