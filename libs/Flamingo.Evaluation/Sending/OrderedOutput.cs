using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Sending;

/// <summary>
/// A file of answers as JSON lines, one for each line of an input, that a second start goes on with. Beside it lies a small file that says
/// which run wrote it, so that answers of two runs are never mixed. The file only grows while a run lasts, so a kill loses at most the
/// line in writing; <see cref="Complete"/> removes errors that a later start has answered.
/// </summary>
public sealed class OrderedOutput : IDisposable
{
    private readonly string _path;
    private readonly FileStream _file;
    private readonly bool _inOrder;
    private readonly HashSet<long> _done = [];
    private readonly Dictionary<long, string> _waiting = [];
    private readonly SemaphoreSlim _ahead;
    private readonly Lock _lock = new();
    private readonly Queue<long> _order = [];
    private Dictionary<string, string> _identity = [];
    private bool _isTidy = true;

    private OrderedOutput(string path, FileStream file, bool inOrder, int mostAhead) =>
        (_path, _file, _inOrder, _ahead) = (path, file, inOrder, new(mostAhead, mostAhead));

    /// <summary>Lines of the input whose answers an earlier start wrote.</summary>
    public int Known => _done.Count;

    /// <summary>Lines that failed in an earlier start; <see cref="MissingAsync"/> returns them again.</summary>
    public int Failed { get; private set; }

    private string Beside => $"{_path}.run.json";

    /// <summary>Opens the output of a run, or begins one.</summary>
    /// <param name="inOrder">Whether answers are written in the order of the input; otherwise as they come.</param>
    /// <param name="mostAhead">Most answers that wait for an earlier one, so that one slow answer cannot fill the memory.</param>
    /// <param name="identity">What makes two runs the same, as far as it is known yet; <see cref="Confirm"/> adds to it.</param>
    /// <param name="isFailure">Whether an answer that an earlier start wrote is an error.</param>
    /// <exception cref="BenchmarkException">The file belongs to another run, is damaged, or cannot be written.</exception>
    public static OrderedOutput Open(
        string path, bool inOrder, int mostAhead, IReadOnlyDictionary<string, string> identity, bool restart,
        Func<JsonElement, bool> isFailure)
    {
        var beside = $"{path}.run.json";
        OrderedOutput? output = null;
        try
        {
            if (restart || !File.Exists(path)) File.Delete(beside);
            var began = File.Exists(beside)
                ? JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(beside)) ?? [] : null;
            if (began is null && File.Exists(path) && new FileInfo(path).Length > 0 && !restart)
                throw new BenchmarkException(
                    $"{path} is there, and no run wrote it. Name another --output, or overwrite it with --restart.");
            if (began is not null && identity.Where(part => began.GetValueOrDefault(part.Key) != part.Value).ToArray()
                is { Length: > 0 } different)
                throw Another(path, string.Join(", ", different.Select(part => part.Key)));
            output = new OrderedOutput(path,
                new FileStream(path, restart ? FileMode.Create : FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None), inOrder,
                mostAhead);
            output.ReadDone(isFailure);
            output._identity = began ?? new(identity);
            if (began is null) output.WriteIdentity();
            return output;
        }
        catch (Exception exception)
        {
            output?.Dispose();
            if (exception is IOException or UnauthorizedAccessException or JsonException)
                throw new BenchmarkException(
                    $"{path} cannot be opened: {exception.Message} If another run writes to it, name another --output.", exception);
            throw;
        }
    }

    /// <summary>Compares a part of the identity that is known only now, for example the digest of a model that has been loaded.</summary>
    /// <exception cref="BenchmarkException">An earlier start had another value.</exception>
    public void Confirm(string name, string value)
    {
        if (_identity.TryGetValue(name, out var began))
        {
            if (began != value) throw Another(_path, name);
            return;
        }

        _identity[name] = value;
        WriteIdentity();
    }

    /// <summary>The lines that have no answer yet. It waits where answers are too far ahead of the first that is missing.</summary>
    /// <param name="numberOf">The number of a line in the input.</param>
    public async IAsyncEnumerable<T> MissingAsync<T>(
        IEnumerable<T> lines, Func<T, long> numberOf, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        foreach (var line in lines)
        {
            if (_done.Contains(numberOf(line))) continue;
            if (_inOrder)
            {
                await _ahead.WaitAsync(cancellation);
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

    /// <summary>
    /// Ends the output of a run that has asked everything. Where a line was asked again after it had failed, its error is removed, and
    /// the file is put into the order of the input if this is wanted. It is replaced in one step. Nothing can be added afterwards.
    /// </summary>
    public void Complete()
    {
        if (_isTidy) return;
        var last = new Dictionary<long, (long Offset, int Length)>();
        foreach (var line in ByteLines.Read(_file).Where(line => line.IsWhole))
        {
            var number = Number(line.Bytes);
            last.Remove(number); // so that the order of insertion is that of the last lines
            last[number] = (line.Offset, line.Bytes.Length + 1);
        }

        var tidy = $"{_path}.tidy";
        using (var target = new FileStream(tidy, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            foreach (var (_, (offset, length)) in _inOrder ? last.OrderBy(line => line.Key) : last.OrderBy(line => line.Value.Offset))
            {
                var bytes = new byte[length];
                _file.Position = offset;
                _file.ReadExactly(bytes);
                target.Write(bytes);
            }

            target.Flush(flushToDisk: true);
        }

        _file.Dispose();
        File.Move(tidy, _path, overwrite: true);
    }

    public void Dispose()
    {
        _file.Dispose();
        _ahead.Dispose();
    }

    private static BenchmarkException Another(string path, string different) => new(
        $"{path} has answers of another run: {different} differ. Repeat the command as it was to go on, name another --output, or "
        + "overwrite it with --restart.");

    private static long Number(byte[] line)
    {
        using var answer = JsonDocument.Parse(line);
        return answer.RootElement.GetProperty("line").GetInt64();
    }

    private void WriteIdentity() => File.WriteAllText(Beside, JsonSerializer.Serialize(_identity));

    private void Write(string json)
    {
        _file.Write(Encoding.UTF8.GetBytes(json + "\n"));
        _file.Flush();
    }

    // What follows the last end of line was being written when the process ended, and is written again.
    private void ReadDone(Func<JsonElement, bool> isFailure)
    {
        var (whole, number, highest, failed) = (0L, 0L, 0L, new HashSet<long>());
        foreach (var line in ByteLines.Read(_file).TakeWhile(line => line.IsWhole))
        {
            number++;
            whole = line.Offset + line.Bytes.Length + 1;
            try
            {
                using var answer = JsonDocument.Parse(line.Bytes);
                var answered = answer.RootElement.GetProperty("line").GetInt64();
                if (_inOrder && answered <= highest) _isTidy = false;
                highest = Math.Max(highest, answered);
                if (isFailure(answer.RootElement)) failed.Add(answered);
                else _done.Add(answered);
            }
            catch (Exception damaged) when (damaged is JsonException or KeyNotFoundException or InvalidOperationException)
            {
                throw new BenchmarkException(
                    $"{_path}, line {number}: this is not an answer with a number. Remove the line, or overwrite the file "
                    + "with --restart.", damaged);
            }
        }

        if (failed.Count > 0) _isTidy = false;
        failed.ExceptWith(_done);
        Failed = failed.Count;
        _file.SetLength(whole);
        _file.Position = whole;
    }
}
