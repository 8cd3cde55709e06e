using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Tasks;

/// <summary>A conversation with who writes the lines.</summary>
/// <param name="asked">All but the turns.</param>
/// <param name="names">What the user calls the fields of the request.</param>
public sealed class ChatSession(ITasks tasks, ChatTask asked, FieldNames names, UserInput input, AnswerWriter writer, TextWriter error)
{
    public const string PictureCommand = "/picture";

    private readonly List<ChatTurn> _turns = [];
    private readonly List<(string File, FlamingoPicture Picture)> _shown = []; // with the next turn

    /// <summary>Until the lines end.</summary>
    /// <param name="pictures">Of the first turn.</param>
    /// <exception cref="UsageException">A line that is no turn, where nobody types; <see cref="FlamingoException"/> alike.</exception>
    public async Task RunAsync(IEnumerable<(string File, FlamingoPicture Picture)> pictures, CancellationToken cancellation)
    {
        _shown.AddRange(pictures);
        if (input.IsTerminal) await error.WriteLineAsync($"Say something; '{PictureCommand} FILE' shows a picture with it. Ctrl-D ends.");
        while (await NextAsync(cancellation) is { } line)
        {
            try
            {
                await TakeAsync(line, cancellation);
            }
            catch (Exception fault) when (input.IsTerminal && fault is UsageException or FlamingoException)
            {
                FailureReport.Write(fault, error);
            }
        }

        if (input.IsTerminal) await error.WriteLineAsync();
        if (_shown.Count > 0)
            await error.WriteLineAsync(
                $"flamingo: nothing was said about the last {(_shown.Count == 1 ? "picture" : $"{_shown.Count} pictures")}.");
    }

    private async Task<string?> NextAsync(CancellationToken cancellation)
    {
        if (input.IsTerminal) await error.WriteAsync("> ");
        return await input.ReadLineAsync(cancellation);
    }

    private async Task TakeAsync(string line, CancellationToken cancellation)
    {
        if (string.IsNullOrWhiteSpace(line)) return;
        if (line.StartsWith('/'))
        {
            Show(line);
            return;
        }

        // a turn that is refused is as if it had not been, its pictures with it
        var turn = new ChatTurn([.. _shown.Select(shown => shown.Picture)], line);
        names.Add("turns", "the conversation");
        names.Add($"turns[{_turns.Count}].text", "the turn");
        foreach (var (place, shown) in _shown.Index()) names.Add($"turns[{_turns.Count}].visuals[{place}]", shown.File);
        _shown.Clear();
        var answer = tasks.ChatAsync(asked with { Turns = [.. _turns, turn] }, cancellation);
        var reply = await names.AskAsync(() => writer.WriteAsync(answer, cancellation));
        _turns.Add(turn with { Reply = reply.Samples[0].Text });
    }

    private void Show(string line)
    {
        var words = line.Split(' ', 2, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (words is not [PictureCommand, var file])
            throw new UsageException(
                $"'{line}' is no command. '{PictureCommand} FILE' is the only one; a turn that begins with a slash has a blank before it.");
        if (file == InputFile.StandardInput)
            throw new UsageException($"{PictureCommand}: standard input holds the turns. Name {InputFile.Pictures}.");
        var faults = new List<string>();
        var picture = PictureFile.Read(file, faults);
        if (faults.Count > 0) throw new UsageException(faults);
        _shown.Add((file, picture));
    }
}
