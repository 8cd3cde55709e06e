using Flamingo.Checkpoints;
using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Tensors;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Weights;

/// <summary>
/// Reads tensors from a memory-mapped file by name and shape. <see cref="Finish"/> reports all weights that are missing,
/// unexpected or of another shape in one exception. A large weight that is aligned and in the compute dtype is used in place, and
/// its pages are read when they are first accessed. Other weights are converted directly from the mapping, so that no weight is
/// held twice. The file must not be modified while its weights are in use; replacing it by a rename is safe.
/// </summary>
/// <param name="team">Threads that compute products of few rows and products with int8 weights; if null, only the calling thread
/// computes them.</param>
public sealed class WeightsReader(
    SafetensorsFile file, Device device, ScalarType dtype, WeightStorage storage = WeightStorage.Native, ComputeTeam? team = null)
{
    // The alignment of memory that torch allocates. Products with memory of another alignment are slower or rounded differently.
    private const long Alignment = 64;

    // Smaller weights, such as norms, are copied.
    private const long InPlaceBytes = 1 << 16;

    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);
    private readonly List<string> _faults = [];
    private readonly Dictionary<ScalarType, Tensor> _mappings = [];

    /// <summary>Number of bytes that the weights taken so far hold in memory.</summary>
    public long HeldBytes { get; private set; }

    /// <summary>Number of bytes that all weights of a file will hold in memory, computed from its header.</summary>
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

    /// <summary>Returns a weight, detached from any dispose scope. The caller owns it.</summary>
    /// <param name="name">Canonical name, see Flamingo.Checkpoints/NAMES.md.</param>
    /// <param name="shape">
    /// Expected shape. If the weight is missing or has another shape, the method records the fault for <see cref="Finish"/> and
    /// returns a tensor without memory.
    /// </param>
    public Tensor Take(string name, params ReadOnlySpan<long> shape)
    {
        if (Find(name, shape) is not { } entry) return empty(shape, dtype, META);
        var weight = Load(entry);
        HeldBytes += weight.numel() * weight.ElementSize;
        return weight;
    }

    /// <summary>Returns a weight, or null if the checkpoint does not have it (a bias, for example).</summary>
    public Tensor? TakeOptional(string name, params ReadOnlySpan<long> shape) => file.Entries.ContainsKey(name) ? Take(name, shape) : null;

    /// <summary>Returns the matrix of a linear layer in the configured storage format.</summary>
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
    /// Returns a matrix that shares the memory of a weight, such as the token embedding as the output projection. The matrix and
    /// the weight are disposed separately.
    /// </summary>
    public WeightMatrix Share(Tensor weight) => new(weight.alias().DetachFromDisposeScope(), team);

    /// <summary>
    /// Marks weights of the file that are not needed (those of another head, for example), so that <see cref="Finish"/> does not
    /// report them.
    /// </summary>
    public void Ignore(Func<string, bool> names) => _taken.UnionWith(file.Entries.Keys.Where(names));

    /// <exception cref="CheckpointException">Weights are missing, unexpected or of another shape. The message lists all of
    /// them.</exception>
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
            $"misshapen: {name} is [{string.Join(", ", entry.Shape)}], but the configuration requires "
            + $"[{string.Join(", ", shape.ToArray())}]");
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

    // Returns a view of the mapping, or a copy if the offset is not a multiple of the element size.
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
