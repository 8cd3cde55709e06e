using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Stages;

namespace Flamingo.Cli.Tasks;

/// <summary>What <c>caption</c>, <c>answer</c> and <c>classify</c> have in common: a picture, examples before it, and who answers.</summary>
public sealed class TaskOptions
{
    private readonly Argument<FileInfo> _picture = new("picture") { HelpName = "PICTURE", Description = "A JPEG, PNG, WebP, GIF or BMP file." };
    private readonly bool _asks;
    private readonly Option<string[]> _example;

    private readonly Option<bool> _noZeroShot = new("--no-zero-shot") { Description = "Without examples, ask at once: leave out the model's own examples without pictures." };
    private readonly AnswererOptions _answerer = new();

    /// <param name="asks">Whether examples have a question.</param>
    public TaskOptions(bool asks)
    {
        _asks = asks;
        _example = new("--example", "-e")
        {
            HelpName = asks ? "PICTURE> <QUESTION> <ANSWER" : "PICTURE> <ANSWER", Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
            Description = "An example before the picture; repeatable, order kept. '-' for PICTURE is an example of words alone.",
        };
    }

    private int Values => _asks ? 3 : 2;

    public void AddTo(Command command)
    {
        command.Add(_picture);
        command.Add(_example);
        command.Add(_noZeroShot);
        _answerer.AddTo(command);
        command.Validators.Add(result =>
        {
            if ((result.GetResult(_example)?.Tokens.Count ?? 0) % Values != 0) result.AddError($"--example takes {(_asks ? "a picture, a question and an answer" : "a picture and an answer")}. Quote each.");
        });
    }

    public bool HasSupportSet(SymbolResult result) => _answerer.HasExamples(result);

    /// <exception cref="UsageException">A picture does not exist.</exception>
    public TaskPrompt Read(ParseResult parsed)
    {
        var faults = new List<string>();
        var examples = (parsed.GetValue(_example) ?? []).Chunk(Values).Select(values => new TaskExample(values[0] == "-" ? null : Picture(values[0]), _asks ? values[1] : "", values[^1])).ToList();
        var prompt = new TaskPrompt(Picture(parsed.GetRequiredValue(_picture).ToString()))
        {
            Tenant = _answerer.Tenant(parsed), Examples = examples, SupportSet = _answerer.SupportSet(parsed), ZeroShot = parsed.GetValue(_noZeroShot) ? false : null, PinPrefix = _answerer.Pin(parsed),
        };
        return faults.Count == 0 ? prompt : throw new UsageException(faults);

        FlamingoPicture Picture(string file) => PictureFile.Read(file, faults);
    }

    /// <inheritdoc cref="AnswererOptions.OpenAsync"/>
    public Task<OpenedFlamingo> OpenAsync(ParseResult parsed, TextWriter error, CancellationToken cancellation) => _answerer.OpenAsync(parsed, error, cancellation);
}
