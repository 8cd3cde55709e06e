using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;

namespace Flamingo.Cli.Tasks;

/// <summary>A conversation whose user turns are the lines of an input.</summary>
/// <param name="asked">The chat request without its turns.</param>
/// <param name="names">Receives the names under which errors report the fields of the request.</param>
public sealed class ChatSession(ITasks tasks, ChatTask asked, FieldNames names, UserInput input, AnswerWriter writer, TextWriter error)
{
    public const string PictureCommand = "/picture";

    private readonly List<ChatTurn> _turns = [];
    private readonly List<(string File, FlamingoPicture Picture)> _shown = []; // pictures for the next turn

    /// <summary>Receives each reply with its number, 1-based, and the conversation's last picture; null if nothing is drawn.</summary>
    public Func<int, Answer, FlamingoVisual?, Task>? Drawn { get; init; }

    /// <summary>Runs until the input ends.</summary>
    /// <param name="pictures">Pictures for the first turn.</param>
    /// <exception cref="UsageException">A line is not a valid turn or command, and the input is not a terminal.</exception>
    /// <exception cref="FlamingoException">The model rejected a turn or failed, and the input is not a terminal.</exception>
    public async Task RunAsync(IEnumerable<(string File, FlamingoPicture Picture)> pictures, CancellationToken cancellation)
    {
        _shown.AddRange(pictures);
        if (input.IsTerminal)
            await error.WriteLineAsync(
                $"Type a message. '{PictureCommand} FILE' adds a picture to the next message. Ctrl-D ends the conversation.");
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
                $"flamingo: no turn followed the last {(_shown.Count == 1 ? "picture" : $"{_shown.Count} pictures")}.");
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

        // A turn that is rejected does not become part of the conversation, and neither do its pictures.
        var turn = new ChatTurn([.. _shown.Select(shown => shown.Picture)], line);
        names.Add("turns", "the conversation");
        names.Add($"turns[{_turns.Count}].text", "the turn");
        foreach (var (place, shown) in _shown.Index()) names.Add($"turns[{_turns.Count}].visuals[{place}]", shown.File);
        _shown.Clear();
        var answer = tasks.ChatAsync(asked with { Turns = [.. _turns, turn] }, cancellation);
        var reply = await names.AskAsync(() => writer.WriteAsync(answer, cancellation));
        _turns.Add(turn with { Reply = reply.Samples[0].Text });
        if (Drawn is not null) await Drawn(_turns.Count, reply, _turns.SelectMany(past => past.Visuals).LastOrDefault());
    }

    private void Show(string line)
    {
        var words = line.Split(' ', 2, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (words is not [PictureCommand, var file])
            throw new UsageException(
                $"'{line}' is not a command. The only command is '{PictureCommand} FILE'. "
                    + "Put a space before a turn that begins with a slash.");
        if (file == InputFile.StandardInput)
            throw new UsageException($"{PictureCommand}: standard input holds the turns of the conversation. Name {InputFile.Pictures}.");
        var faults = new List<string>();
        var picture = PictureFile.Read(file, faults);
        if (faults.Count > 0) throw new UsageException(faults);
        _shown.Add((file, picture));
    }
}
