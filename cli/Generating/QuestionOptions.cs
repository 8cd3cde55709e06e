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
    private readonly AnswererOptions _answerer = new();

    public void AddTo(Command command)
    {
        command.Add(_prompt);
        _inline.AddTo(command);
        _answerer.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetResult(_prompt) is not null == _inline.IsGiven(result)) result.AddError("Give either --prompt FILE.json or --shot/--picture/--video, one of them.");
        });
    }

    public bool HasExamples(SymbolResult result) => _answerer.HasExamples(result);

    /// <exception cref="UsageException">The prompt cannot be read.</exception>
    public FlamingoRequest Read(ParseResult parsed)
    {
        var request = parsed.GetValue(_prompt) is { } file ? PromptFile.Read(file.ToString()) : new FlamingoRequest(_inline.Read(parsed), new SamplingParameters());
        return request with { Tenant = _answerer.Tenant(parsed), SupportSet = _answerer.SupportSet(parsed), PinPrefix = _answerer.Pin(parsed) };
    }

    /// <summary>The request with every shot ended as the model that answers has its examples ended.</summary>
    public async Task<FlamingoRequest> EndShotsAsync(
        ParseResult parsed, FlamingoRequest request, IFlamingo flamingo, CancellationToken cancellation)
    {
        if (!_inline.HasShots(parsed)) return request;
        var model = await flamingo.GetModelAsync(cancellation);
        return request with { Segments = _inline.EndShots(parsed, request.Segments, model.Language.EndOfChunkToken) };
    }

    /// <inheritdoc cref="AnswererOptions.OpenAsync"/>
    public Task<OpenedFlamingo> OpenAsync(ParseResult parsed, TextWriter error, CancellationToken cancellation) => _answerer.OpenAsync(parsed, error, cancellation);
}
