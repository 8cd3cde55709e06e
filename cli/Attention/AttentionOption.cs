using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Attention;

/// <summary>The option <c>--attention</c>, which asks for attention and names the file of the sheet.</summary>
public sealed class AttentionOption(string description)
{
    private readonly Option<FileInfo> _file =
        new Option<FileInfo>("--attention") { HelpName = "FILE.png", Description = description }.MustBeWritable(".png");

    public void AddTo(Command command) => command.Add(_file);

    /// <returns>The full path of the sheet; null if none was asked for.</returns>
    public string? File(ParseResult parsed) => parsed.GetValue(_file)?.FullName;

    /// <returns>What to ask for; null if no sheet was asked for.</returns>
    /// <param name="names">Receives the name under which errors report the field of the request.</param>
    public AttentionChoice? Choice(ParseResult parsed, FieldNames names)
    {
        names.Add("attention", _file.Name);
        return File(parsed) is null ? null : new AttentionChoice([], []);
    }

    /// <summary>Asks for the texts of the tokens too, which come with their log-probabilities.</summary>
    public SamplingParameters Apply(ParseResult parsed, SamplingParameters sampling) =>
        File(parsed) is null || sampling.Beams > 1 ? sampling // a beam search returns neither, and the refusal names the attention
            : sampling with { LogProbabilities = sampling.LogProbabilities ?? 0 };
}
