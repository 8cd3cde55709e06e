using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Runs;

/// <summary>
/// The answers of a run as JSON lines, written as they come, so that a run that was killed goes on where it ended. The first line says
/// what the run is; only the same run may go on.
/// </summary>
public sealed class AnswerLog : IDisposable
{
    private static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull,
    };

    private readonly FileStream _file;
    private readonly Dictionary<(string, Condition, string), ItemAnswer> _answers = [];

    private AnswerLog(FileStream file) => _file = file;

    /// <summary>The answers so far, without failures. A failed query is asked again by the next start.</summary>
    public IReadOnlyDictionary<(string Benchmark, Condition Condition, string Id), ItemAnswer> Answers => _answers;

    /// <summary>When the run began first.</summary>
    public DateTimeOffset Started { get; private set; }

    /// <summary>Time spent asking in earlier starts.</summary>
    public TimeSpan Earlier { get; private set; }

    /// <summary>Opens the log of a run, or begins one.</summary>
    /// <param name="identity">What makes two runs the same, by name: a difference is named.</param>
    /// <param name="restart">Whether to forget an earlier run's answers.</param>
    /// <exception cref="BenchmarkException">The file holds another run, or another process writes to it.</exception>
    public static AnswerLog Open(string path, IReadOnlyDictionary<string, string> identity, bool restart, DateTimeOffset now)
    {
        AnswerLog log;
        try
        {
            // Only a file that is not shared at all is locked on Linux; other programs can read it nevertheless.
            log = new AnswerLog(new FileStream(path, restart ? FileMode.Create : FileMode.OpenOrCreate, FileAccess.ReadWrite,
                FileShare.None));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new BenchmarkException(
                $"{path} cannot be opened: {exception.Message} If another run writes to it, name another --results.",
                exception);
        }

        try
        {
            log.Read(path, identity, now);
            return log;
        }
        catch
        {
            log.Dispose();
            throw;
        }
    }

    /// <summary>Writes an answer through to the file system's cache; a killed process loses at most the line in writing.</summary>
    /// <param name="spent">Time since this start of the run began asking.</param>
    public void Add(ItemAnswer answer, TimeSpan spent)
    {
        if (answer.Error is null) _answers[(answer.Benchmark, answer.Condition, answer.Id)] = answer;
        Write(new Line { Answer = answer, Seconds = Math.Round(spent.TotalSeconds, 1) });
    }

    public void Dispose() => _file.Dispose();

    private void Read(string path, IReadOnlyDictionary<string, string> identity, DateTimeOffset now)
    {
        var (text, number) = (ReadAll(), 0);
        var whole = text.LastIndexOf('\n') + 1; // what follows was being written when the process ended
        var spent = TimeSpan.Zero;
        foreach (var line in text[..whole].Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            number++;
            var entry = Parse(line, path, number);
            if (number == 1) Compare(entry.Run, identity, path);
            if (entry.Started is { } started)
            {
                if (number == 1) Started = started;
                (Earlier, spent) = (Earlier + spent, TimeSpan.Zero);
            }
            else if (entry.Answer is { } answer)
            {
                spent = TimeSpan.FromSeconds(entry.Seconds ?? 0);
                if (answer.Error is null) _answers[(answer.Benchmark, answer.Condition, answer.Id)] = answer;
            }
        }

        Earlier += spent;
        _file.SetLength(Encoding.UTF8.GetByteCount(text.AsSpan(0, whole)));
        _file.Position = _file.Length;
        if (number == 0) Started = now;
        Write(new Line { Started = now, Run = number == 0 ? identity : null });
    }

    // A log holds texts of a run's answers, a few hundred bytes each; half a million of them fit in memory.
    private string ReadAll()
    {
        using var reader = new StreamReader(_file, new UTF8Encoding(false), detectEncodingFromByteOrderMarks: false, leaveOpen: true);
        return reader.ReadToEnd();
    }

    private static Line Parse(string line, string path, int number)
    {
        try
        {
            return JsonSerializer.Deserialize<Line>(line, Format) ?? throw new JsonException("The line is null.");
        }
        catch (JsonException damaged)
        {
            throw new BenchmarkException(
                $"{path}, line {number}: {damaged.Message} Repair or remove the line, or begin anew with --restart.",
                damaged);
        }
    }

    private static void Compare(IReadOnlyDictionary<string, string>? theirs, IReadOnlyDictionary<string, string> ours, string path)
    {
        if (theirs is null)
            throw new BenchmarkException($"{path} is not the log of a run. Name another --results, or overwrite it with --restart.");
        string[] different =
            [.. ours.Keys.Union(theirs.Keys).Where(name => ours.GetValueOrDefault(name) != theirs.GetValueOrDefault(name))];
        if (different.Length == 0) return;
        throw new BenchmarkException($"{path} holds another run: "
            + string.Join(", ", different.Select(name =>
                $"{name} was {theirs.GetValueOrDefault(name) ?? "not given"} and is {ours.GetValueOrDefault(name) ?? "not given"}"))
            + ". Repeat the command as it was to go on, name another --results, or forget that run with --restart.");
    }

    private void Write(Line line)
    {
        _file.Write(JsonSerializer.SerializeToUtf8Bytes(line, Format));
        _file.WriteByte((byte)'\n');
        _file.Flush();
    }

    private sealed record Line
    {
        public DateTimeOffset? Started { get; init; }

        public IReadOnlyDictionary<string, string>? Run { get; init; }

        public ItemAnswer? Answer { get; init; }

        public double? Seconds { get; init; }
    }
}
