using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Generating;

/// <summary>
/// A prompt on the command line, <c>--shot PICTURE "text" … --picture PICTURE "text"</c>, in the order in which it was written.
/// </summary>
public sealed class InlinePrompt
{
    // The options are repeatable and may be mixed, so the parser accepts any number of values and the order is taken from the tokens.
    private readonly Option<string[]> _shot = new("--shot")
    {
        HelpName = "PICTURE> <TEXT", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "An example: a picture and its text. The model's end-of-example token is appended to the text. "
        + "Repeatable; the order is kept.",
    };

    private readonly Option<string[]> _picture = new("--picture")
    {
        HelpName = "PICTURE> <TEXT", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "The question: a picture ('-' is standard input) and optionally the text that the answer continues. "
        + "Repeatable; the order is kept.",
    };

    private readonly Option<string[]> _video = new("--video")
    {
        HelpName = "FILE> <TEXT", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "The same as --picture, with an animated GIF or WebP file. The model must have frame embeddings.",
    };

    private readonly Option<int?> _maxFrames = NumberOption.Create<int>(
        "--max-frames", "N", "Maximum number of frames of each --video, sampled evenly. Default: the model's maximum.", least: 1);

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _shot, _picture, _video, _maxFrames }) command.Add(option);
        command.AddRule(result =>
        {
            if (result.GetResult(_maxFrames) is not null && result.GetResult(_video) is null)
                result.AddError("--max-frames belongs to --video. Give --video too.");
        });
    }

    public bool IsGiven(SymbolResult result) =>
        new Option[] { _shot, _picture, _video }.Any(option => result.GetResult(option) is not null);

    public bool HasShots(ParseResult parsed) => parsed.GetResult(_shot) is not null;

    /// <summary>
    /// Reads the prompt without the end-of-example token after each shot, which depends on the model; <see cref="EndShots"/> appends it.
    /// </summary>
    /// <param name="names">Receives the names under which errors report the segments.</param>
    /// <exception cref="UsageException">An option has too few or too many values, or a picture does not exist.</exception>
    public IReadOnlyList<FlamingoSegment> Read(ParseResult parsed, FieldNames names)
    {
        names.Add("segments", "the prompt");
        var faults = new List<string>();
        var segments = new List<FlamingoSegment>();
        foreach (var (option, values) in Occurrences(parsed.Tokens))
        {
            var shot = option == _shot.Name;
            if (values.Count > 2 || values.Count < (shot ? 2 : 1))
            {
                var given = values.Count == 1 ? "1 value" : $"{values.Count} values";
                faults.Add($"{option} takes a picture and a text, not {given}. Quote the text: {option} picture.png \"This is a\".");
                continue;
            }

            var video = option == _video.Name;
            var expected = video ? "an animated GIF or WebP file" : InputFile.Pictures;
            if (InputFile.Read(values[0], $"{option}: ", expected, faults) is not { } file) continue;
            names.Add($"segments[{segments.Count}]", $"{option} {InputFile.Name(values[0])}");
            segments.Add(video ? new FlamingoVideo(new VisualInput([file], parsed.GetValue(_maxFrames) ?? 0)) : new FlamingoPicture(file));
            if (video) names.Add($"segments[{segments.Count - 1}].video.max_frames", _maxFrames.Name);
            if (values.Count < 2) continue;
            names.Add($"segments[{segments.Count}]", $"{option} {InputFile.Name(values[0])}, its text");
            segments.Add(new FlamingoText(values[1]));
        }

        return faults.Count == 0 ? segments : throw new UsageException(faults);
    }

    /// <summary>Appends the model's end-of-example token to the text of every shot.</summary>
    /// <param name="segments">The result of <see cref="Read"/>.</param>
    /// <param name="endOfChunk">The text of the model's end-of-example token.</param>
    public IReadOnlyList<FlamingoSegment> EndShots(ParseResult parsed, IReadOnlyList<FlamingoSegment> segments, string endOfChunk)
    {
        var (ended, at) = (segments.ToList(), 0);
        foreach (var (option, values) in Occurrences(parsed.Tokens))
        {
            at += values.Count; // each occurrence has one segment for the visual and at most one for the text
            if (option == _shot.Name) ended[at - 1] = new FlamingoText(((FlamingoText)ended[at - 1]).Text + endOfChunk);
        }

        return ended;
    }

    private List<(string Option, List<string> Values)> Occurrences(IEnumerable<Token> tokens)
    {
        var found = new List<(string Option, List<string> Values)>();
        List<string>? values = null;
        foreach (var token in tokens)
        {
            if (token.Type == TokenType.Option)
            {
                values = token.Value == _shot.Name || token.Value == _picture.Name || token.Value == _video.Name ? [] : null;
                if (values is not null) found.Add((token.Value, values));
            }
            else if (token.Type == TokenType.Argument)
            {
                values?.Add(token.Value);
            }
        }

        return found;
    }
}
