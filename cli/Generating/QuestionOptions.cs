using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Generating;

/// <summary>
/// What <c>generate</c> and <c>rank</c> have in common: a prompt, with or without examples of a support set, and who answers it.
/// </summary>
public sealed class QuestionOptions
{
    private readonly Option<string> _prompt = new("--prompt", "-p")
    {
        HelpName = "FILE.json",
        Description = "The prompt, '-' for standard input: {\"segments\": [{\"picture\": "
            + "\"path beside the file\"}, {\"text\": \"…\"}, {\"picture_id\": \"…\"}, "
            + "{\"video\": \"path\", \"max_frames\": 8}], \"sampling\": {\"max_tokens\": 14, \"temperature\": 0}}.",
    };
    private readonly InlinePrompt _inline = new();
    private readonly AnswererOptions _answerer = new();

    public void AddTo(Command command)
    {
        command.Add(_prompt);
        _inline.AddTo(command);
        _answerer.AddTo(command);
        command.AddRule(result =>
        {
            if (result.GetResult(_prompt) is not null == _inline.IsGiven(result))
                result.AddError("Give either --prompt FILE.json or --shot/--picture/--video, one of them.");
        });
    }

    public bool HasExamples(SymbolResult result) => _answerer.HasExamples(result);

    /// <param name="names">Learns what the user calls the fields of the request.</param>
    /// <exception cref="UsageException">The prompt cannot be read.</exception>
    public FlamingoRequest Read(ParseResult parsed, FieldNames names)
    {
        var request = parsed.GetValue(_prompt) is { } file
            ? PromptFile.Read(file, names)
            : new FlamingoRequest(_inline.Read(parsed, names), new SamplingParameters());
        return request with
        {
            Tenant = _answerer.Tenant(parsed), SupportSet = _answerer.SupportSet(parsed, names), PinPrefix = _answerer.Pin(parsed),
        };
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
    public Task<OpenedFlamingo> OpenAsync(ParseResult parsed, FieldNames names, TextWriter error, CancellationToken cancellation) =>
        _answerer.OpenAsync(parsed, names, error, cancellation);
}
