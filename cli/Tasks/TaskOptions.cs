using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Tasks;

/// <summary>
/// The options that <c>caption</c>, <c>answer</c> and <c>classify</c> share: a picture, examples before it, and the model or server.
/// </summary>
public sealed class TaskOptions
{
    private readonly Argument<string> _picture = new("picture")
    {
        HelpName = "PICTURE", Description = "A JPEG, PNG, WebP, GIF or BMP file; '-' is standard input.",
    };

    private readonly bool _asks;
    private readonly Option<string[]> _example;

    private readonly Option<bool> _noZeroShot = new("--no-zero-shot")
    {
        Description = "If no examples are given, leave out the model's own text-only examples.",
    };
    private readonly AnswererOptions _answerer = new();

    /// <param name="asks">Whether each example has a question.</param>
    public TaskOptions(bool asks)
    {
        _asks = asks;
        _example = new("--example", "-e")
        {
            HelpName = asks ? "PICTURE> <QUESTION> <ANSWER" : "PICTURE> <ANSWER",
            Arity = new ArgumentArity(1, 4096), AllowMultipleArgumentsPerToken = true,
            Description = "An example before the picture. Repeatable; the order is kept. '-' for PICTURE makes a text-only example.",
        };
    }

    private int Values => _asks ? 3 : 2;

    public void AddTo(Command command)
    {
        command.Add(_picture);
        command.Add(_example);
        command.Add(_noZeroShot);
        _answerer.AddTo(command);
        command.AddRule(result =>
        {
            if ((result.GetResult(_example)?.Tokens.Count ?? 0) % Values != 0)
                result.AddError(
                    $"--example takes {(_asks ? "a picture, a question and an answer" : "a picture and an answer")}. Quote each value.");
        });
    }

    public bool HasSupportSet(SymbolResult result) => _answerer.HasExamples(result);

    /// <param name="names">Receives the names under which errors report the fields of the prompt.</param>
    /// <exception cref="UsageException">A picture does not exist.</exception>
    public TaskPrompt Read(ParseResult parsed, FieldNames names)
    {
        var (faults, shown) = (new List<string>(), parsed.GetRequiredValue(_picture));
        names.Add("prompt", "the prompt");
        names.Add("prompt.visual", InputFile.Name(shown));
        var examples = (parsed.GetValue(_example) ?? []).Chunk(Values).Select((values, index) =>
        {
            names.Add($"prompt.examples[{index}]", $"{_example.Name} {string.Join(' ', values)}");
            return new TaskExample(values[0] == "-" ? null : PictureFile.Read(values[0], faults), _asks ? values[1] : "", values[^1]);
        }).ToList();
        var prompt = new TaskPrompt(PictureFile.Read(shown, faults))
        {
            Tenant = _answerer.Tenant(parsed), Examples = examples, SupportSet = _answerer.SupportSet(parsed, names),
            ZeroShot = parsed.GetValue(_noZeroShot) ? false : null, PinPrefix = _answerer.Pin(parsed),
        };
        return faults.Count == 0 ? prompt : throw new UsageException(faults);
    }

    /// <inheritdoc cref="AnswererOptions.OpenAsync"/>
    public Task<OpenedFlamingo> OpenAsync(ParseResult parsed, FieldNames names, TextWriter error, CancellationToken cancellation)
    {
        var hasExamples = parsed.GetResult(_example) is not null || HasSupportSet(parsed.CommandResult);
        if (parsed.GetValue(_noZeroShot) && hasExamples)
            error.WriteLine($"flamingo: {_noZeroShot.Name} has no effect together with examples.");
        return _answerer.OpenAsync(parsed, names, error, cancellation);
    }
}
