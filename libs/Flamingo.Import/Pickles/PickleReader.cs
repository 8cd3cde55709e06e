using System.Buffers.Binary;
using System.Text;
using Flamingo.Checkpoints;

namespace Flamingo.Import.Pickles;

/// <summary>A tensor as a pickle describes it: a view of a storage.</summary>
/// <param name="Storage">The storage that holds the elements.</param>
/// <param name="Offset">Position of the first element in the storage, in elements.</param>
/// <param name="Shape">Length of each dimension.</param>
/// <param name="Stride">Distance between neighbours of each dimension, in elements.</param>
public sealed record PickledTensor(PickledStorage Storage, long Offset, IReadOnlyList<long> Shape, IReadOnlyList<long> Stride);

/// <summary>A block of elements, which is one entry of the zip archive.</summary>
/// <param name="Key">Name of the entry in the zip archive.</param>
/// <param name="Dtype">Dtype as safetensors spells it, such as F32.</param>
/// <param name="Elements">Number of elements.</param>
public sealed record PickledStorage(string Key, string Dtype, long Elements);

/// <summary>The attributes of a TorchScript module. Its code is neither read nor executed.</summary>
public sealed class PickledModule
{
    private const int Deepest = 64; // The limit ends the recursion of a hostile pickle that contains itself.
    private const int MostAttributes = 100_000;
    private const int LongestPath = 1000;

    public Dictionary<object, object?> Attributes { get; set; } = [];

    /// <summary>
    /// Collects the attributes of this module and of all modules in it by their path, such as <c>visual.conv1.weight</c>.
    /// </summary>
    /// <param name="source">Name of the file, for messages.</param>
    /// <exception cref="CheckpointException">The modules contain each other, or are too many.</exception>
    public Dictionary<object, object?> StateDict(string source)
    {
        var (found, attributes) = (new Dictionary<object, object?>(), 0);
        Collect(this, "", 0);
        return found;

        void Collect(PickledModule module, string path, int depth)
        {
            foreach (var (name, value) in module.Attributes)
            {
                // A small pickle may refer to one module many times, so the collected attributes are counted, not the pickled ones.
                if (depth > Deepest || path.Length > LongestPath || ++attributes > MostAttributes)
                    throw new CheckpointException($"{source}: the modules of the TorchScript archive hold each other, or are too many.");
                if (value is PickledModule inner) Collect(inner, $"{path}{name}.", depth + 1);
                else found[$"{path}{name}"] = value;
            }
        }
    }
}

/// <summary>
/// Reads the pickles that torch.save writes (protocol 2 to 5). The reader builds tensors and plain containers only. It refuses every
/// other opcode and every other class, names it in the message, and executes nothing. The opcodes are those of CPython's pickletools.
/// </summary>
public sealed class PickleReader
{
    private const int MostObjects = 10_000_000;
    // This is torch's own limit. It also bounds the memory that a hostile pickle takes by using one long tuple for many tensors.
    private const int MostDimensions = 64;
    private static readonly object Mark = new();

    private static readonly Dictionary<string, string> Storages = new(StringComparer.Ordinal)
    {
        ["torch FloatStorage"] = "F32", ["torch HalfStorage"] = "F16", ["torch BFloat16Storage"] = "BF16", ["torch DoubleStorage"] = "F64",
        ["torch LongStorage"] = "I64", ["torch IntStorage"] = "I32", ["torch ShortStorage"] = "I16", ["torch CharStorage"] = "I8",
        ["torch ByteStorage"] = "U8", ["torch BoolStorage"] = "BOOL",
    };

    private readonly byte[] _bytes;
    private readonly string _source;
    private readonly Stack<object?> _stack = new();
    private readonly Dictionary<long, object?> _memo = [];
    private int _at;
    private int _objects;
    private long _pairs;

    private PickleReader(byte[] bytes, string source) => (_bytes, _source) = (bytes, source);

    /// <summary>
    /// Returns the object that a pickle holds. It consists of dictionaries, lists, tuples (as arrays), strings, numbers and
    /// <see cref="PickledTensor"/>.
    /// </summary>
    /// <param name="pickle">Bytes of the pickle.</param>
    /// <param name="source">Name of the file, for messages.</param>
    /// <exception cref="CheckpointException">The pickle is truncated, damaged, or needs more than plain data.</exception>
    public static object? Read(byte[] pickle, string source)
    {
        var reader = new PickleReader(pickle, source);
        try
        {
            return reader.Run();
        }
        catch (Exception exception) when (exception is InvalidCastException or InvalidOperationException or IndexOutOfRangeException
            or ArgumentException or OverflowException or FormatException or NullReferenceException or KeyNotFoundException)
        {
            throw new CheckpointException($"{source}: the pickle is damaged at byte {reader._at}.", exception);
        }
    }

    private sealed record Global(string Name);

    private object? Run()
    {
        while (true)
        {
            if (++_objects > MostObjects) throw Refuse("more than ten million operations");
            var opcode = (char)Take(1)[0];
            switch (opcode)
            {
                case '\x80': if (Take(1)[0] > 5) throw Refuse("a protocol above 5"); break;
                case '\x95': Take(8); break; // FRAME gives a length, which this reader does not need.
                case '.': return _stack.Pop();
                case '(': _stack.Push(Mark); break;
                case '0': _stack.Pop(); break;
                case '1': PopToMark(); break;
                case '2': _stack.Push(_stack.Peek()); break;
                case 'N': _stack.Push(null); break;
                case '\x88': _stack.Push(true); break;
                case '\x89': _stack.Push(false); break;
                case 'K': _stack.Push((long)Take(1)[0]); break;
                case 'M': _stack.Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
                case 'J': _stack.Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
                case '\x8a': _stack.Push(Long(Take(Take(1)[0]))); break;
                case 'G': _stack.Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
                case 'X': _stack.Push(Text(BinaryPrimitives.ReadInt32LittleEndian(Take(4)))); break;
                case '\x8c': _stack.Push(Text(Take(1)[0])); break;
                case ')': _stack.Push(Array.Empty<object?>()); break;
                case '\x85': PushTuple(1); break;
                case '\x86': PushTuple(2); break;
                case '\x87': PushTuple(3); break;
                case 't': _stack.Push(PopToMark()); break;
                case ']': _stack.Push(new List<object?>()); break;
                case 'l': _stack.Push(new List<object?>(PopToMark())); break;
                case 'a': Append(); break;
                case 'e': Extend(); break;
                case '}': _stack.Push(new Dictionary<object, object?>()); break;
                case 'd': var pairs = PopToMark(); _stack.Push(Fill([], pairs)); break;
                case 's':
                    var (value, key) = (_stack.Pop(), _stack.Pop());
                    Fill((Dictionary<object, object?>)_stack.Peek()!, [key, value]);
                    break;
                case 'u': var items = PopToMark(); Fill((Dictionary<object, object?>)_stack.Peek()!, items); break;
                case 'q': _memo[Take(1)[0]] = _stack.Peek(); break;
                case 'r': _memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = _stack.Peek(); break;
                case '\x94': _memo[_memo.Count] = _stack.Peek(); break;
                case 'h': _stack.Push(_memo[Take(1)[0]]); break;
                case 'j': _stack.Push(_memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))]); break;
                case 'c': _stack.Push(Class(Line(), Line())); break;
                case '\x93': var (name, module) = ((string)_stack.Pop()!, (string)_stack.Pop()!); _stack.Push(Class(module, name)); break;
                case 'R': var arguments = (object?[])_stack.Pop()!; _stack.Push(Call(((Global)_stack.Pop()!).Name, arguments)); break;
                case 'Q': _stack.Push(Storage((object?[])_stack.Pop()!)); break;
                case '\x81': New(); break;
                case 'b': Build(); break;
                default: throw Refuse(opcode is >= ' ' and <= '~' ? $"opcode '{opcode}'" : $"opcode 0x{(int)opcode:x2}");
            }
        }
    }

    private Global Class(string module, string name)
    {
        var full = $"{module} {name}";
        // The code of TorchScript's classes is not read. An object of such a class becomes a module that has attributes only.
        if (module == "__torch__" || module.StartsWith("__torch__.", StringComparison.Ordinal)) return new Global("__torch__");
        if (Storages.ContainsKey(full)
            || full is "collections OrderedDict" or "torch._utils _rebuild_tensor_v2" or "torch._utils _rebuild_parameter"
                or "torch.jit._pickle build_intlist") return new Global(full);
        throw Refuse($"the class or function '{module}.{name}'");
    }

    private object? Call(string name, object?[] arguments) => name switch
    {
        "collections OrderedDict" when arguments.Length == 0 => new Dictionary<object, object?>(),
        "collections OrderedDict" => Fill([], Pairs((List<object?>)arguments[0]!)),
        "torch.jit._pickle build_intlist" => (List<object?>)arguments[0]!,
        "torch._utils _rebuild_parameter" => (PickledTensor)arguments[0]!,
        "torch._utils _rebuild_tensor_v2" =>
            new PickledTensor((PickledStorage)arguments[0]!, (long)arguments[1]!, Sizes(arguments[2]), Sizes(arguments[3])),
        _ => throw Refuse($"a call of '{name.Replace(' ', '.')}'"),
    };

    private PickledStorage Storage(object?[] id)
    {
        if (id is not ["storage", Global type, string key, string, long elements] || !Storages.TryGetValue(type.Name, out var dtype)
            || elements < 0) throw Refuse("a persistent object that is not a storage");
        return new PickledStorage(key, dtype, elements);
    }

    private void New()
    {
        if (_stack.Pop() is not object?[] { Length: 0 } || _stack.Pop() is not Global { Name: "__torch__" })
            throw Refuse("an object that is not a TorchScript module");
        _stack.Push(new PickledModule());
    }

    // torch's state dictionaries have an attribute _metadata, which this reader drops.
    private void Build()
    {
        var state = _stack.Pop();
        if (_stack.Peek() is PickledModule module && state is Dictionary<object, object?> attributes) module.Attributes = attributes;
        else if (_stack.Peek() is not Dictionary<object, object?>) throw Refuse("state for anything but a dictionary or a module");
    }

    // Only pairs are accepted: a list with many references to one long tuple would take much more memory than the pickle.
    private static object?[] Pair(object? pair) => pair switch
    {
        object?[] { Length: 2 } tuple => tuple,
        List<object?> { Count: 2 } list => [list[0], list[1]],
        _ => throw new FormatException(),
    };

    // A hostile pickle may use one list for a million dictionaries. Pairs that torch writes take at least one byte each.
    private object?[] Pairs(List<object?> list)
    {
        if ((_pairs += list.Count) > _bytes.Length) throw Refuse("one list as many dictionaries");
        return [.. list.SelectMany(Pair)];
    }

    private static long[] Sizes(object? tuple) =>
        ((object?[])tuple!).Length > MostDimensions ? throw new FormatException()
            : [.. ((object?[])tuple!).Select(size => (long)size! is >= 0 and var length ? length : throw new FormatException())];

    private void PushTuple(int count)
    {
        var tuple = new object?[count];
        for (var index = count - 1; index >= 0; index--) tuple[index] = _stack.Pop();
        _stack.Push(tuple);
    }

    private void Append()
    {
        var item = _stack.Pop();
        ((List<object?>)_stack.Peek()!).Add(item);
    }

    private void Extend()
    {
        var items = PopToMark();
        ((List<object?>)_stack.Peek()!).AddRange(items);
    }

    private Dictionary<object, object?> Fill(Dictionary<object, object?> dictionary, object?[] pairs)
    {
        for (var index = 0; index < pairs.Length; index += 2)
            // Wider numbers are refused, because an attacker can choose them so that their hash codes collide.
            dictionary[pairs[index] is string or (long and >= int.MinValue and <= int.MaxValue) ? pairs[index]!
                : throw Refuse("a dictionary key that is neither text nor a 32-bit number")] = pairs[index + 1];
        return dictionary;
    }

    private object?[] PopToMark()
    {
        var items = new List<object?>();
        while (!ReferenceEquals(_stack.Peek(), Mark)) items.Add(_stack.Pop());
        _stack.Pop();
        items.Reverse();
        return [.. items];
    }

    private static long Long(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 8) throw new OverflowException();
        long value = bytes.Length > 0 && (bytes[^1] & 0x80) != 0 ? -1 : 0;
        for (var index = bytes.Length - 1; index >= 0; index--) value = (value << 8) | bytes[index];
        return value;
    }

    private string Text(int length) => Encoding.UTF8.GetString(Take(length));

    private string Line()
    {
        var end = Array.IndexOf(_bytes, (byte)'\n', _at);
        var line = Encoding.UTF8.GetString(Take(end - _at));
        Take(1);
        return line;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count < 0 || count > _bytes.Length - _at)
            throw new CheckpointException($"{_source}: the pickle ends at byte {_bytes.Length}, in the middle of an object; the file is "
                + "truncated or damaged.");
        _at += count;
        return _bytes.AsSpan(_at - count, count);
    }

    private CheckpointException Refuse(string what) =>
        new($"{_source}: the pickle asks for {what} at byte {_at}. Only tensors and plain containers are read; nothing was executed. If "
            + "you trust the file, save it as safetensors.");
}
