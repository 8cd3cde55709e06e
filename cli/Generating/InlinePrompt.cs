using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Generating;

/// <summary>
/// A prompt on the command line: <c>--shot PICTURE "text" … --picture PICTURE "text"</c>, in the order in which it was written.
/// </summary>
public sealed class InlinePrompt
{
    // both options repeat, so the parser takes any number of values and the order is read from the tokens
    private readonly Option<string[]> _shot = new("--shot")
    {
        HelpName = "PICTURE> <TEXT", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "An example: a picture and what is to be said of it; the model's own end of an example is appended to the text. "
            + "Repeatable, order kept.",
    };

    private readonly Option<string[]> _picture = new("--picture")
    {
        HelpName = "PICTURE> <TEXT", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "The question: a picture ('-' is standard input) and the text that the answer continues (may be left out). "
            + "Repeatable, order kept.",
    };

    private readonly Option<string[]> _video = new("--video")
    {
        HelpName = "FILE> <TEXT", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "As --picture with an animated GIF or WebP, for models with frame embeddings.",
    };

    private readonly Option<int?> _maxFrames = NumberOption.Create<int>(
        "--max-frames", "N", "Most frames of each --video, sampled evenly. Default: as many as the model takes.", least: 1);

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _shot, _picture, _video, _maxFrames }) command.Add(option);
        command.AddRule(result =>
        {
            if (result.GetResult(_maxFrames) is not null && result.GetResult(_video) is null)
                result.AddError("--max-frames belongs to --video.");
        });
    }

    public bool IsGiven(SymbolResult result) =>
        new Option[] { _shot, _picture, _video }.Any(option => result.GetResult(option) is not null);

    public bool HasShots(ParseResult parsed) => parsed.GetResult(_shot) is not null;

    /// <summary>The prompt without an end behind its shots; which one belongs there, the model that is asked tells.</summary>
    /// <param name="names">Learns what the user calls the segments.</param>
    /// <exception cref="UsageException">A value is missing or too many, or a picture does not exist.</exception>
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

    /// <param name="segments">As <see cref="Read"/> gave them.</param>
    /// <param name="endOfChunk">What the model's examples end with.</param>
    public IReadOnlyList<FlamingoSegment> EndShots(ParseResult parsed, IReadOnlyList<FlamingoSegment> segments, string endOfChunk)
    {
        var (ended, at) = (segments.ToList(), 0);
        foreach (var (option, values) in Occurrences(parsed.Tokens))
        {
            at += values.Count; // a visual, and its text where there is one
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
