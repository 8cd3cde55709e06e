using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Generating;

/// <summary>
/// The options that <c>generate</c> and <c>rank</c> share: a prompt, an optional support set, and the model or server.
/// </summary>
public sealed class QuestionOptions
{
    private readonly Option<string> _prompt = new("--prompt", "-p")
    {
        HelpName = "FILE.json",
        Description = "The prompt as a JSON file, '-' for standard input: {\"segments\": [{\"picture\": "
        + "\"path relative to the file\"}, {\"text\": \"…\"}, {\"picture_id\": \"…\"}, "
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
                result.AddError("The prompt comes from --prompt FILE.json or from --shot, --picture and --video. Give one of them.");
        });
    }

    public bool HasExamples(SymbolResult result) => _answerer.HasExamples(result);

    /// <param name="names">Receives the names under which errors report the fields of the request.</param>
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

    /// <summary>Asks the model for its end-of-example token and appends it to the text of every shot.</summary>
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
