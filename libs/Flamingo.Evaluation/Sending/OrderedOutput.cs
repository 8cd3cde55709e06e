using System.Text;
using System.Text.Json;
using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Sending;

/// <summary>
/// A file of answers as JSON lines, one for each line of an input, that a second start goes on with. Beside it lies a small file that says
/// which run wrote it, so that answers of two runs are never mixed.
/// </summary>
public sealed class OrderedOutput : IDisposable
{
    private readonly FileStream _file;
    private readonly bool _inOrder;
    private readonly HashSet<long> _done = [];
    private readonly Dictionary<long, string> _waiting = [];
    private readonly SemaphoreSlim _ahead;
    private readonly Lock _lock = new();
    private readonly Queue<long> _order = [];

    private OrderedOutput(FileStream file, bool inOrder, int mostAhead) =>
        (_file, _inOrder, _ahead) = (file, inOrder, new(mostAhead, mostAhead));

    /// <summary>Lines of the input whose answers an earlier start wrote.</summary>
    public int Known => _done.Count;

    /// <summary>Opens the output of a run, or begins one.</summary>
    /// <param name="inOrder">Whether answers are written in the order of the input; otherwise as they come.</param>
    /// <param name="mostAhead">Most answers that wait for an earlier one, so that one slow answer cannot fill the memory.</param>
    /// <param name="identity">What makes two runs the same.</param>
    /// <exception cref="BenchmarkException">The file belongs to another run, is damaged, or cannot be written.</exception>
    public static OrderedOutput Open(
        string path, bool inOrder, int mostAhead, IReadOnlyDictionary<string, string> identity, bool restart)
    {
        var beside = $"{path}.run.json";
        try
        {
            if (restart || !File.Exists(path)) File.Delete(beside);
            var began = File.Exists(beside)
                ? JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(beside)) ?? [] : null;
            if (began is null && File.Exists(path) && new FileInfo(path).Length > 0 && !restart)
                throw new BenchmarkException(
                    $"{path} is there, and no run wrote it. Name another --output, or overwrite it with --restart.");
            if (began is not null
                && identity.Keys.Union(began.Keys).Where(name => identity.GetValueOrDefault(name) != began.GetValueOrDefault(name))
                .ToArray() is { Length: > 0 } different)
                throw new BenchmarkException(
                    $"{path} has answers of another run: {string.Join(", ", different)} differ. Repeat the command as it "
                    + "was to go on, name another --output, or overwrite it with --restart.");
            var output = new OrderedOutput(
                new FileStream(path, restart ? FileMode.Create : FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None), inOrder,
                    mostAhead);
            output.ReadDone(path);
            if (began is null) File.WriteAllText(beside, JsonSerializer.Serialize(identity));
            return output;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new BenchmarkException(
                $"{path} cannot be opened: {exception.Message} If another run writes to it, name another --output.",
                exception);
        }
    }

    /// <summary>The lines that have no answer yet. It waits where answers are too far ahead of the first that is missing.</summary>
    /// <param name="numberOf">The number of a line in the input.</param>
    public IEnumerable<T> Missing<T>(IEnumerable<T> lines, Func<T, long> numberOf, CancellationToken cancellation)
    {
        foreach (var line in lines)
        {
            if (_done.Contains(numberOf(line))) continue;
            if (_inOrder)
            {
                _ahead.Wait(cancellation);
                lock (_lock) _order.Enqueue(numberOf(line));
            }

            yield return line;
        }
    }

    /// <summary>Writes an answer, or keeps it until the answers before it are written.</summary>
    /// <param name="json">One line that has a member <c>line</c> with the number.</param>
    public void Add(long number, string json)
    {
        lock (_lock)
        {
            if (!_inOrder)
            {
                Write(json);
                return;
            }

            _waiting[number] = json;
            while (_order.TryPeek(out var next) && _waiting.Remove(next, out var ready))
            {
                Write(ready);
                _order.Dequeue();
                _ahead.Release();
            }
        }
    }

    public void Dispose()
    {
        _file.Dispose();
        _ahead.Dispose();
    }

    private void Write(string json)
    {
        _file.Write(Encoding.UTF8.GetBytes(json + "\n"));
        _file.Flush();
    }

    // What follows the last end of line was being written when the process ended, and is written again.
    private void ReadDone(string path)
    {
        using var reader = new StreamReader(_file, new UTF8Encoding(false), detectEncodingFromByteOrderMarks: false, leaveOpen: true);
        long whole = 0, number = 0;
        while (reader.ReadLine() is { } line)
        {
            number++;
            var end = whole + Encoding.UTF8.GetByteCount(line) + 1;
            if (end > _file.Length) break;
            whole = end;
            try
            {
                using var answer = JsonDocument.Parse(line);
                _done.Add(answer.RootElement.GetProperty("line").GetInt64());
            }
            catch (Exception damaged) when (damaged is JsonException or KeyNotFoundException or InvalidOperationException)
            {
                throw new BenchmarkException(
                    $"{path}, line {number}: this is not an answer with a number. Remove the line, or overwrite the file "
                    + "with --restart.", damaged);
            }
        }

        _file.SetLength(whole);
        _file.Position = whole;
    }
}
