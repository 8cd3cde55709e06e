using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>What <c>generate</c> and <c>rank</c> have in common: a prompt, with or without examples of a support set, and who answers it.</summary>
public sealed class QuestionOptions
{
    private readonly Option<FileInfo> _prompt = new("--prompt", "-p") { HelpName = "FILE.json", Description = "The prompt: {\"segments\": [{\"picture\": \"path beside the file\"}, {\"text\": \"…\"}, {\"picture_id\": \"…\"}, {\"video\": \"path\", \"max_frames\": 8}], \"sampling\": {\"max_tokens\": 14, \"temperature\": 0}}." };
    private readonly InlinePrompt _inline = new();
    private readonly SupportSetOptions _examples = new();
    private readonly Option<DirectoryInfo> _model = ModelOption.Create();
    private readonly Option<Uri> _server = ServerAddress.Create(required: false);
    private readonly Option<string> _tenant = TenantOption.Create();
    private readonly Option<double?> _pin = new("--pin") { HelpName = "SECONDS", Description = "Keep the computed prompt for so long, for a server that will be asked again with the same examples." };

    public void AddTo(Command command)
    {
        command.Add(_prompt);
        _inline.AddTo(command);
        _examples.AddTo(command);
        foreach (var option in new Option[] { _model, _server, _tenant, _pin }) command.Add(option);
        command.Validators.Add(result =>
        {
            if (result.GetResult(_model) is not null && result.GetResult(_server) is not null) result.AddError("--model and --server exclude each other. A server has its own model.");
            if (result.GetResult(_prompt) is not null == _inline.IsGiven(result)) result.AddError("Give either --prompt FILE.json or --shot/--picture/--video, one of them.");
            if (result.GetResult(_pin) is not null && !(result.GetValue(_pin) is > 0 and <= 31_536_000)) result.AddError("--pin takes seconds, more than 0 and at most a year.");
        });
    }

    public bool HasExamples(SymbolResult result) => _examples.IsGiven(result);

    /// <exception cref="UsageException">The prompt cannot be read.</exception>
    public FlamingoRequest Read(ParseResult parsed)
    {
        var request = parsed.GetValue(_prompt) is { } file ? PromptFile.Read(file.ToString()) : new FlamingoRequest(_inline.Read(parsed), new SamplingParameters());
        return request with
        {
            Tenant = parsed.GetRequiredValue(_tenant), SupportSet = _examples.Read(parsed), PinPrefix = parsed.GetValue(_pin) is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
        };
    }

    /// <summary>Who answers: a server, or this process with a set made of the file of examples that was named.</summary>
    /// <exception cref="UsageException">The file of examples cannot be read.</exception>
    public async Task<OpenedFlamingo> OpenAsync(ParseResult parsed, TextWriter error, CancellationToken cancellation)
    {
        if (parsed.GetValue(_server) is { } address)
        {
            _examples.RefuseFile(parsed);
            return OpenedFlamingo.Connect(address);
        }

        var examples = _examples.ReadFile(parsed, parsed.GetRequiredValue(_tenant));
        var opened = OpenedFlamingo.Load(parsed.GetValue(_model)?.FullName ?? DefaultModel.Find(), error);
        try
        {
            if (examples is not null) await opened.SupportSets.PutAsync(examples, cancellation);
            return opened;
        }
        catch
        {
            await opened.DisposeAsync();
            throw;
        }
    }
}
