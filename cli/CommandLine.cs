using System.CommandLine;
using System.CommandLine.Invocation;
using Flamingo.Cli.Benching;
using Flamingo.Cli.Caching;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Importing;
using Flamingo.Cli.Inspecting;
using Flamingo.Cli.Ranking;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.Cli.Serving;
using Flamingo.Cli.SupportSets;
using Flamingo.Cli.Tasks;
using Flamingo.Cli.Verifying;

namespace Flamingo.Cli;

/// <summary>The <c>flamingo</c> command. Standard output carries answers and nothing else; everything else goes to standard error.</summary>
public static class CommandLine
{
    // Ctrl-C cancels; a command that has not ended by itself after so long (a model is being loaded, say) is left
    private static readonly TimeSpan LongestStop = TimeSpan.FromSeconds(10);

    /// <param name="input">For commands that read lines; null: standard input.</param>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error, CancellationToken cancellation = default, UserInput? input = null)
    {
        var parsed = Parse(SettingOption.Fold(args));
        if (parsed.UnmatchedTokens.Contains(SettingOption.Name)) parsed = Parse(args); // a command without: it is refused as it was written
        if (parsed.Action is ParseErrorAction)
        {
            foreach (var fault in parsed.Errors.Select(fault => fault.Message).Distinct()) await error.WriteLineAsync($"flamingo: {fault}");
            await error.WriteLineAsync($"Run '{FullName(parsed.CommandResult.Command)} --help' for the forms that are understood.");
            return ExitCode.Usage;
        }

        // a server deals with signals itself: it lets calls under way end, and stops at once on the second
        var ownsSignals = parsed.CommandResult.Command.Name == ServeCommand.Name;
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration
            {
                Output = output, Error = error, EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = ownsSignals ? null : LongestStop,
            }, cancellation);
        }
        catch (Exception exception)
        {
            return FailureReport.Write(exception, error);
        }

        ParseResult Parse(string[] words) => Root(input).Parse(words, new ParserConfiguration { ResponseFileTokenReplacer = null });
    }

    /// <summary>The command tree, without side effects.</summary>
    /// <inheritdoc cref="RunAsync"/>
    public static RootCommand Root(UserInput? input = null) => new(
        "Few-shot vision-language models with gated cross-attention: pictures and text in, text out.\n\n"
        + "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a golden does not hold, 130 interrupted.")
    {
        GenerateCommand.Create(),
        RankCommand.Create(),
        CaptionCommand.Create(),
        AnswerCommand.Create(),
        ClassifyCommand.Create(),
        ChatCommand.Create(input),
        ServeCommand.Create(),
        SupportSetCommand.Create(),
        CacheCommand.Create(),
        ImportCommand.Create(),
        VerifyCommand.Create(),
        InspectCommand.Create(),
        BenchCommand.Create(),
    };

    private static string FullName(Command command) => command is RootCommand ? "flamingo" : $"{FullName(command.Parents.OfType<Command>().Single())} {command.Name}";
}
