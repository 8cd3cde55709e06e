using Flamingo.Checkpoints;
using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Tensors;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Weights;

/// <summary>
/// Takes tensors out of a mapped file by name and shape. Strict: <see cref="Finish"/> reports every missing, misshapen
/// and unexpected weight in one failure. A large weight that lies aligned and in the compute dtype is used in place, its pages read
/// when they are first touched; others are converted straight from the mapping, so that nothing is held twice. The file must not be
/// written into while its weights live; replacing it (a rename) is safe.
/// </summary>
/// <param name="team">Computes products of few rows, and with int8 weights; the calling thread alone if null.</param>
public sealed class WeightsReader(
    SafetensorsFile file, Device device, ScalarType dtype, WeightStorage storage = WeightStorage.Native, ComputeTeam? team = null)
{
    // The alignment of torch's own memory. Products of memory that is aligned otherwise are slower or rounded otherwise.
    private const long Alignment = 64;

    // Smaller weights, such as norms, are copied.
    private const long InPlaceBytes = 1 << 16;

    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);
    private readonly List<string> _faults = [];
    private readonly Dictionary<ScalarType, Tensor> _mappings = [];

    /// <summary>Bytes of the weights taken so far, as they are held.</summary>
    public long HeldBytes { get; private set; }

    /// <summary>Bytes of a whole file's weights as they will be held, from its header alone.</summary>
    public static long BytesOf(SafetensorsFile file, ScalarType dtype, WeightStorage storage) =>
        file.Entries.Values.Sum(entry => storage == WeightStorage.Int8 && IsMatrix(entry)
        ? Elements(entry) + (sizeof(float) * entry.Shape[0])
        : Elements(entry) * dtype.ElementBytes());

    /// <summary>Whether a tensor is the matrix of a linear layer, by its canonical name.</summary>
    public static bool IsMatrix(SafetensorsEntry entry) =>
        entry.Shape.Count == 2
            && entry.Name != "token_embedding.weight"
            && (entry.Name.EndsWith(".weight", StringComparison.Ordinal)
                || entry.Name.EndsWith(".in_proj_weight", StringComparison.Ordinal));

    /// <summary>The weight, detached from any dispose scope; the module that asks owns it.</summary>
    /// <param name="name">Canonical name, see Flamingo.Checkpoints/NAMES.md.</param>
    /// <param name="shape">
    /// Expected shape; a fault if the file's differs: a tensor without memory stands in until <see cref="Finish"/>.
    /// </param>
    public Tensor Take(string name, params ReadOnlySpan<long> shape)
    {
        if (Find(name, shape) is not { } entry) return empty(shape, dtype, META);
        var weight = Load(entry);
        HeldBytes += weight.numel() * weight.ElementSize;
        return weight;
    }

    /// <summary>The weight, or null where the checkpoint has none (a bias, for example).</summary>
    public Tensor? TakeOptional(string name, params ReadOnlySpan<long> shape) => file.Entries.ContainsKey(name) ? Take(name, shape) : null;

    /// <summary>The matrix of a linear layer, as it is to be held.</summary>
    public WeightMatrix TakeMatrix(string name, long outputs, long inputs)
    {
        if (storage == WeightStorage.Native) return new WeightMatrix(Take(name, outputs, inputs), team);
        if (Find(name, [outputs, inputs]) is not { } entry) return new WeightMatrix(empty([outputs, inputs], dtype, META));
        using var scope = NewDisposeScope();
        var matrix = WeightMatrix.Quantize(Stored(entry), device, team);
        HeldBytes += matrix.Bytes;
        return matrix;
    }

    /// <summary>
    /// A second use of a weight that was taken: the token embedding as the output projection. It is disposed of by itself; its owner stays
    /// the owner of the first use.
    /// </summary>
    public WeightMatrix Share(Tensor weight) => new(weight.alias().DetachFromDisposeScope(), team);

    /// <summary>Names in the file that were not taken and need not be (another head's weights, for example).</summary>
    public void Ignore(Func<string, bool> names) => _taken.UnionWith(file.Entries.Keys.Where(names));

    /// <exception cref="CheckpointException">Something was missing, misshapen or left over; all of it in one report.</exception>
    public void Finish()
    {
        foreach (var mapping in _mappings.Values) mapping.Dispose(); // weights that are used in place keep their mapping alive
        _mappings.Clear();
        _faults.AddRange(file.Entries.Keys.Where(name => !_taken.Contains(name)).Select(name => $"unexpected: {name}"));
        if (_faults.Count > 0)
            throw new CheckpointException($"{file.Path} does not fit its configuration:\n  {string.Join("\n  ", _faults)}");
    }

    private static long Elements(SafetensorsEntry entry) => entry.Shape.Aggregate(1L, (product, length) => product * length);

    private SafetensorsEntry? Find(string name, ReadOnlySpan<long> shape)
    {
        if (!file.Entries.TryGetValue(name, out var entry))
        {
            _faults.Add($"missing: {name} [{string.Join(", ", shape.ToArray())}]");
            return null;
        }

        _taken.Add(name);
        if (entry.Shape.SequenceEqual(shape.ToArray())) return entry;
        _faults.Add(
            $"misshapen: {name} is [{string.Join(", ", entry.Shape)}] where the configuration says [{string.Join(", ", shape.ToArray())}]");
        return null;
    }

    private Tensor Load(SafetensorsEntry entry)
    {
        using var scope = NewDisposeScope();
        var stored = Stored(entry);
        var inPlace = entry.Offset % Alignment == 0 && entry.Length >= InPlaceBytes;
        var weight = stored.dtype == dtype && device.type == TorchSharp.DeviceType.CPU && !inPlace
            ? stored.clone()
            : stored.to(dtype, device);
        return weight.DetachFromDisposeScope();
    }

    // a view of the mapping, or a copy where the offset is no multiple of the element
    private Tensor Stored(SafetensorsEntry entry)
    {
        var type = entry.Dtype switch
        {
            "F32" => ScalarType.Float32,
            "F16" => ScalarType.Float16,
            "BF16" => ScalarType.BFloat16,
            _ => throw new CheckpointException($"{file.Path}: {entry.Name} has dtype {entry.Dtype}; weights are F32, F16 or BF16."),
        };
        var (size, shape) = (SafetensorsFile.ElementSize(entry.Dtype), entry.Shape.ToArray());
        if (entry.Length == 0 || entry.Offset % size != 0)
        {
            var copy = empty(shape, type, CPU);
            file.Read(entry).CopyTo(copy.bytes);
            return copy;
        }

        if (!_mappings.TryGetValue(type, out var mapping))
        {
            var elements = new FileInfo(file.Path).Length / size;
            mapping = from_file(file.Path, shared: false, size: elements, dtype: type, device: CPU).DetachFromDisposeScope();
            _mappings[type] = mapping;
        }

        return mapping.slice(0, entry.Offset / size, (entry.Offset + entry.Length) / size, 1).view(shape);
    }
}
