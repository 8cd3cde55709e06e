using System.Text.Json;

namespace Flamingo.Evaluation.Datasets.Reading;

/// <summary>
/// Reads a benchmark's JSON entry by entry: memory is needed for the largest entry and not for the file, which may have hundreds of
/// megabytes. Damage is reported with its line, and ends the reading of the file.
/// </summary>
internal sealed class JsonFile
{
    private const int LargestEntry = 1 << 27;
    private const string Damaged = "Fetch the file from its publisher again; it was perhaps not transferred to its end.";

    private readonly string _file;
    private readonly FaultReport _faults;
    private readonly IReadOnlyDictionary<string, Action<JsonEntry>> _lists;
    private readonly HashSet<string> _found = [];
    private byte[] _bytes = new byte[1 << 16];
    private int _length;
    private long _linesBefore;
    private string? _property;
    private string? _list;
    private int _index;

    private JsonFile(string file, FaultReport faults, IReadOnlyDictionary<string, Action<JsonEntry>> lists) =>
        (_file, _faults, _lists) = (file, faults, lists);

    /// <summary>Reads the elements of some lists of a file and skips all else.</summary>
    /// <param name="lists">
    /// Takes the elements of a list: by the name of the member of the file's object, or by the empty name where the file is a list. The
    /// value is valid during the call alone.
    /// </param>
    /// <returns>The names of those lists that the file has.</returns>
    public static IReadOnlySet<string> Read(string file, FaultReport faults, IReadOnlyDictionary<string, Action<JsonEntry>> lists)
    {
        var reading = new JsonFile(file, faults, lists);
        OnFaultReport(file, faults, reading.Read);
        return reading._found;
    }

    /// <summary>Reads a file with one JSON value per line. Lines without any text are skipped.</summary>
    public static void ReadLines(string file, FaultReport faults, Action<JsonEntry> take) => OnFaultReport(file, faults, () =>
    {
        var any = false;
        foreach (var (index, line) in File.ReadLines(file).Index())
        {
            if (string.IsNullOrWhiteSpace(line)) continue;
            any = true;
            var place = new FilePlace(file, index + 1);
            try
            {
                using var json = JsonDocument.Parse(line);
                take(new JsonEntry(json.RootElement, place, faults));
            }
            catch (JsonException exception)
            {
                faults.Add(place, $"The line is not JSON: {Reason(exception)}", "Each line is one JSON object; correct or remove it.");
            }
        }

        if (!any) faults.Add(new FilePlace(file), "The file is empty.", Damaged);
    });

    /// <summary>Calls <paramref name="take"/> with the value of a small file as a whole.</summary>
    public static void ReadWhole(string file, FaultReport faults, Action<JsonEntry> take) => OnFaultReport(file, faults, () =>
    {
        using var stream = File.OpenRead(file);
        using var json = JsonDocument.Parse(stream);
        take(new JsonEntry(json.RootElement, new FilePlace(file), faults));
    });

    private static void OnFaultReport(string file, FaultReport faults, Action read)
    {
        try
        {
            read();
        }
        catch (JsonException exception)
        {
            var line = (exception.LineNumber ?? 0) + 1;
            faults.Add(new FilePlace(file, line), $"The file is not valid JSON: {Reason(exception)}", Damaged);
        }
        catch (InvalidDataException exception)
        {
            faults.Add(new FilePlace(file), exception.Message, "Take the file as its publisher wrote it.");
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            faults.Add(new FilePlace(file), "The file does not exist.", "Correct the path.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            faults.Add(new FilePlace(file), $"The file cannot be read: {exception.Message}", "Make it readable.");
        }
    }

    // the exception's message names its line and byte once more, from 0
    private static string Reason(JsonException exception) =>
        exception.Message.Split(" LineNumber:", 2)[0].Split(" Path:", 2)[0].TrimEnd();

    private void Read()
    {
        using var stream = File.OpenRead(_file);
        var (state, isFirst) = (default(JsonReaderState), true);
        while (true)
        {
            var isLast = Fill(stream);
            if (isFirst && _length == 0)
            {
                _faults.Add(new FilePlace(_file), "The file is empty.", Damaged);
                return;
            }

            if (isFirst && _bytes.AsSpan(0, _length).StartsWith("\uFEFF"u8)) Consume(3);
            isFirst = false;
            var reader = new Utf8JsonReader(_bytes.AsSpan(0, _length), isLast, state);
            Advance(ref reader);
            state = reader.CurrentState;
            Consume((int)reader.BytesConsumed);
            if (isLast) return;
        }
    }

    /// <summary>Fills the bytes up, in a larger array if there is no room; returns whether the file ends with them.</summary>
    private bool Fill(FileStream stream)
    {
        if (_length == _bytes.Length)
        {
            if (_length >= LargestEntry) throw new InvalidDataException($"An entry has more than {LargestEntry >> 20} MB.");
            Array.Resize(ref _bytes, _bytes.Length * 2);
        }

        _length += stream.ReadAtLeast(_bytes.AsSpan(_length), _bytes.Length - _length, throwOnEndOfStream: false);
        return _length < _bytes.Length;
    }

    private void Consume(int count)
    {
        _linesBefore += _bytes.AsSpan(0, count).Count((byte)'\n');
        _bytes.AsSpan(count, _length - count).CopyTo(_bytes);
        _length -= count;
    }

    /// <summary>Reads on until the bytes end, within a token or within an element.</summary>
    private void Advance(ref Utf8JsonReader reader)
    {
        var (line, counted) = (_linesBefore + 1, 0);
        while (true)
        {
            var before = reader;
            if (!reader.Read()) return;
            if (_list is null)
            {
                Enter(ref reader);
            }
            else if (reader.TokenType == JsonTokenType.EndArray)
            {
                _list = null;
            }
            else
            {
                var start = (int)reader.TokenStartIndex;
                if (!JsonDocument.TryParseValue(ref reader, out var element))
                {
                    reader = before;
                    return;
                }

                line += _bytes.AsSpan(counted, start - counted).Count((byte)'\n');
                counted = start;
                using (element)
                    _lists[_list](new JsonEntry(element.RootElement, new FilePlace(_file, line, $"{_list}[{_index++}]"), _faults));
            }
        }
    }

    private void Enter(ref Utf8JsonReader reader)
    {
        if (reader is { TokenType: JsonTokenType.PropertyName, CurrentDepth: 1 })
        {
            _property = Name(ref reader);
        }
        else if (reader.CurrentDepth == 0 && reader.TokenType is not JsonTokenType.EndObject and not JsonTokenType.EndArray)
        {
            _property = "";
            if (reader.TokenType == JsonTokenType.StartArray) Begin(JsonTokenType.StartArray);
            else if (reader.TokenType != JsonTokenType.StartObject) Begin(JsonTokenType.None);
        }
        else if (reader.CurrentDepth == 1 && _property is not null)
        {
            if (_lists.ContainsKey(_property)) Begin(reader.TokenType);
            _property = null;
        }
    }

    // a name that is not valid Unicode is not one of those that are looked for
    private static string? Name(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private void Begin(JsonTokenType token)
    {
        var name = _property!;
        if (token == JsonTokenType.StartArray && _lists.ContainsKey(name))
        {
            if (_found.Add(name)) (_list, _index) = (name, 0);
            else _faults.Add(new FilePlace(_file), $"The list {name} is there twice.", "Take one of them out.");
            return;
        }

        _found.Add(name);
        var wanted = string.Join(" or ", _lists.Keys.Where(key => key.Length > 0).Select(key => $"a list '{key}'"));
        _faults.Add(new FilePlace(_file), name.Length > 0 ? $"{name} is not a list." : wanted.Length > 0
            ? $"The file is not an object with {wanted}." : "The file is not a list.", "Take the file as its publisher wrote it.");
    }
}
