using System.CommandLine;
using System.CommandLine.Invocation;
using Flamingo.Cli.Batching;
using Flamingo.Cli.Caching;
using Flamingo.Cli.Evaluating;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Importing;
using Flamingo.Cli.Inspecting;
using Flamingo.Cli.Keys;
using Flamingo.Cli.Ranking;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Cli.Serving;
using Flamingo.Cli.SupportSets;
using Flamingo.Cli.Tasks;
using Flamingo.Cli.Training;
using Flamingo.Cli.Verifying;

namespace Flamingo.Cli;

/// <summary>
/// The <c>flamingo</c> command. Only answers are written to standard output; all other output goes to standard error.
/// </summary>
public static class CommandLine
{
    // Ctrl-C cancels a command. The process ends after this time even if the command has not stopped, for example while it loads a model.
    private static readonly TimeSpan LongestStop = TimeSpan.FromSeconds(10);

    // Training finishes its step and writes a checkpoint first, which takes minutes for a large model.
    private static readonly TimeSpan LongestStep = TimeSpan.FromMinutes(30);

    /// <param name="input">Input of commands that read lines; null for standard input.</param>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(
        string[] args, TextWriter output, TextWriter error, CancellationToken cancellation = default, UserInput? input = null)
    {
        try
        {
            var parsed = Parse(SettingOption.Fold(args));
            // This command does not take settings, so the original arguments are parsed again and the error quotes them as written.
            if (parsed.UnmatchedTokens.Contains(SettingOption.Name)) parsed = Parse(args);
            if (parsed.Action is not ParseErrorAction refused)
            {
                // A server handles signals itself: the first one lets running calls finish, the second one stops the server at once.
                var ownsSignals = parsed.CommandResult.Command.Name == ServeCommand.Name;
                var invocation = new InvocationConfiguration
                {
                    Output = output, Error = error, EnableDefaultExceptionHandler = false,
                    ProcessTerminationTimeout = ownsSignals ? null
                        : parsed.CommandResult.Command.Name == TrainCommand.Name ? LongestStep : LongestStop,
                };
                return await parsed.InvokeAsync(invocation, cancellation);
            }

            string[] faults = [.. Faults(parsed)];
            faults[^1] += $"{Suggestions(parsed, refused)} See '{FullName(parsed.CommandResult.Command)} --help'.";
            foreach (var fault in faults) await error.WriteLineAsync($"flamingo: {fault}");
            return ExitCode.Usage;
        }
        catch (Exception exception)
        {
            return FailureReport.Write(exception, error);
        }

        ParseResult Parse(string[] words) => Root(input).Parse(words, new ParserConfiguration { ResponseFileTokenReplacer = null });
    }

    /// <summary>Creates the command tree. It has no side effects.</summary>
    /// <inheritdoc cref="RunAsync"/>
    public static RootCommand Root(UserInput? input = null) => new(
        "Runs few-shot vision-language models with gated cross-attention, which generate text from pictures and text.\n\n"
        + "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a golden value differs, 130 interrupted.")
    {
        GenerateCommand.Create(),
        RankCommand.Create(),
        CaptionCommand.Create(),
        AnswerCommand.Create(),
        ClassifyCommand.Create(),
        ChatCommand.Create(input),
        BatchCommand.Create(),
        ServeCommand.Create(),
        KeyCommand.Create(),
        SupportSetCommand.Create(),
        CacheCommand.Create(),
        ImportCommand.Create(),
        VerifyCommand.Create(), TrainCommand.Create(), EvalCommand.Create(),
        InspectCommand.Create(),
    };

    // Returns one line for all unknown arguments, and leaves out the parser's errors that only follow from them.
    private static IEnumerable<string> Faults(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var unknown = command.TreatUnmatchedTokensAsErrors ? parsed.UnmatchedTokens : [];
        if (unknown.Count > 0 && command.Subcommands.Count > 0) return [$"'{unknown[0]}' is not understood."];
        if (unknown.FirstOrDefault(token => token.StartsWith('-')) is { } option) return [$"'{option}' is not understood."];
        var others = parsed.Errors.Select(fault => fault.Message.ReplaceLineEndings(" ")).Distinct()
            .Where(message => !unknown.Any(token => message.EndsWith($" '{token}'.", StringComparison.Ordinal)));
        const string Hint = "a value must follow its option, and a text with spaces must be in quotes.";
        return [.. others, .. unknown.Take(1).Select(token => $"'{token}' is not understood here: {Hint}")];
    }

    // The command and option names that resemble an unknown argument, as System.CommandLine finds them.
    private static string Suggestions(ParseResult parsed, ParseErrorAction refused)
    {
        if (parsed.UnmatchedTokens.Count == 0) return "";
        using var found = new StringWriter();
        refused.ShowHelp = false;
        refused.ShowTypoCorrections = true;
        parsed.Invoke(new InvocationConfiguration { Output = found, Error = TextWriter.Null });
        var lines = found.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string[] names = [.. lines.Where(line => line.Length > 2 && !line.Contains(' ', StringComparison.Ordinal)).Take(3)];
        return names.Length > 0 ? $" Did you mean {string.Join(" or ", names)}?" : "";
    }

    private static string FullName(Command command) =>
        command is RootCommand ? "flamingo" : $"{FullName(command.Parents.OfType<Command>().Single())} {command.Name}";
}
