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
        var json = new Option<bool>("--json") { Description = "Print one JSON object when the answer is whole: text, ids, finish_reason, pictures, timings (milliseconds)." };
        var inline = new InlinePrompt();
        var sampling = new SamplingOptions();
        var command = new Command("generate", "Continue an interleaved prompt of pictures and text. The text goes to standard output as it is made, everything else to standard error.") { prompt };
        inline.AddTo(command);
        command.Add(model);
        command.Add(server);
        command.Add(json);
        sampling.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetResult(model) is not null && result.GetResult(server) is not null) result.AddError("--model and --server exclude each other. A server has its own model.");
            if (result.GetResult(prompt) is not null == inline.IsGiven(result)) result.AddError("Give either --prompt FILE.json or --shot/--picture, one of them.");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var request = parsed.GetValue(prompt) is { } file ? PromptFile.Read(file.ToString()) : new FlamingoRequest(inline.Read(parsed), new SamplingParameters());
            request = request with { Sampling = sampling.Apply(parsed, request.Sampling) };
            await using var opened = parsed.GetValue(server) is { } address
                ? OpenedFlamingo.Connect(address)
                : OpenedFlamingo.Load(parsed.GetValue(model)?.FullName ?? DefaultModel.Find(), error);
            var showSeed = request.Sampling is { Temperature: > 0, Seed: null };
            await new AnswerWriter(output, error, parsed.GetValue(json)).WriteAsync(opened.Flamingo.GenerateAsync(request, cancellation), showSeed, cancellation);
            return ExitCode.Done;
        });
        return command;
    }
}
