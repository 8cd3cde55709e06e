using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Cli.Reporting;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>A prompt on the command line: <c>--shot PICTURE "text" … --picture PICTURE "text"</c>, in the order in which it was written.</summary>
public sealed class InlinePrompt
{
    // both options repeat, so the parser takes any number of values and the order is read from the tokens
    private readonly Option<string[]> _shot = new("--shot")
    {
        HelpName = "PICTURE> <TEXT", Arity = new ArgumentArity(2, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "An example: a picture and what is to be said of it; the model's own end of an example is appended to the text. "
            + "Repeatable, order kept.",
    };

    private readonly Option<string[]> _picture = new("--picture")
    {
        HelpName = "PICTURE> <TEXT", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "The question: a picture and the text that the answer continues (may be left out). Repeatable, order kept.",
    };

    private readonly Option<string[]> _video = new("--video")
    {
        HelpName = "FILE> <TEXT", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
        Description = "As --picture with an animated GIF or WebP, for models with frame embeddings.",
    };

    private readonly Option<int?> _maxFrames = new("--max-frames") { HelpName = "N", Description = "Most frames of each --video, sampled evenly. Default: as many as the model takes." };

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _shot, _picture, _video, _maxFrames }) command.Add(option);
        command.Validators.Add(result =>
        {
            if (result.GetResult(_maxFrames) is not null && (result.GetResult(_video) is null || !(result.GetValue(_maxFrames) >= 1))) result.AddError("--max-frames takes a number from 1 and belongs to --video.");
        });
    }

    public bool IsGiven(SymbolResult result) => new Option[] { _shot, _picture, _video }.Any(option => result.GetResult(option) is not null);

    public bool HasShots(ParseResult parsed) => parsed.GetResult(_shot) is not null;

    /// <summary>The prompt without an end behind its shots; which one belongs there, the model that is asked tells.</summary>
    /// <exception cref="UsageException">A value is missing or too many, or a picture does not exist.</exception>
    public IReadOnlyList<FlamingoSegment> Read(ParseResult parsed)
    {
        var faults = new List<string>();
        var segments = new List<FlamingoSegment>();
        foreach (var (option, values) in Occurrences(parsed.Tokens))
        {
            var shot = option == _shot.Name;
            if (values.Count > 2 || values.Count < (shot ? 2 : 1))
            {
                faults.Add($"{option} takes a picture and a text, not {values.Count} values. Quote the text: {option} picture.png \"This is a\".");
                continue;
            }

            if (!File.Exists(values[0])) faults.Add($"{option}: {values[0]} does not exist. Name {(option == _video.Name ? "an animated GIF or WebP" : "a JPEG, PNG, WebP, GIF or BMP")} file.");
            else if (option == _video.Name) segments.Add(new FlamingoVideo(new VisualInput([File.ReadAllBytes(values[0])], parsed.GetValue(_maxFrames) ?? 0)));
            else segments.Add(new FlamingoPicture(File.ReadAllBytes(values[0])));
            if (values.Count == 2) segments.Add(new FlamingoText(values[1]));
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
