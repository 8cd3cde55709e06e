using Flamingo.Checkpoints;
using static TorchSharp.torch;

namespace Flamingo.Modeling;

/// <summary>
/// Takes tensors out of a mapped file by name and shape. Strict: <see cref="Finish"/> reports every missing, misshapen
/// and unexpected weight in one failure. Tensors are copied out of the mapping and widened to the compute dtype.
/// </summary>
public sealed class WeightsReader(SafetensorsFile file, Device device, ScalarType dtype)
{
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);
    private readonly List<string> _faults = [];

    /// <summary>The weight, detached from any dispose scope; the module that asks owns it.</summary>
    /// <param name="name">Canonical name, see Flamingo.Checkpoints/NAMES.md.</param>
    /// <param name="shape">Expected shape; a fault if the file's differs: a tensor without memory stands in until <see cref="Finish"/>.</param>
    public Tensor Take(string name, params ReadOnlySpan<long> shape)
    {
        if (!file.Entries.TryGetValue(name, out var entry))
        {
            _faults.Add($"missing: {name} [{string.Join(", ", shape.ToArray())}]");
            return empty(shape, dtype, META);
        }

        _taken.Add(name);
        if (!entry.Shape.SequenceEqual(shape.ToArray()))
        {
            _faults.Add($"misshapen: {name} is [{string.Join(", ", entry.Shape)}] where the configuration says [{string.Join(", ", shape.ToArray())}]");
            return empty(shape, dtype, META);
        }

        return Load(entry);
    }

    /// <summary>The weight, or null where the checkpoint has none (a bias, for example).</summary>
    public Tensor? TakeOptional(string name, params ReadOnlySpan<long> shape) => file.Entries.ContainsKey(name) ? Take(name, shape) : null;

    /// <summary>Names in the file that were not taken and need not be (another head's weights, for example).</summary>
    public void Ignore(Func<string, bool> names) => _taken.UnionWith(file.Entries.Keys.Where(names));

    /// <exception cref="CheckpointException">Something was missing, misshapen or left over; all of it in one report.</exception>
    public void Finish()
    {
        _faults.AddRange(file.Entries.Keys.Where(name => !_taken.Contains(name)).Select(name => $"unexpected: {name}"));
        if (_faults.Count > 0) throw new CheckpointException($"{file.Path} does not fit its configuration:\n  {string.Join("\n  ", _faults)}");
    }

    private Tensor Load(SafetensorsEntry entry)
    {
        var stored = entry.Dtype switch
        {
            "F32" => ScalarType.Float32,
            "F16" => ScalarType.Float16,
            "BF16" => ScalarType.BFloat16,
            _ => throw new CheckpointException($"{file.Path}: {entry.Name} has dtype {entry.Dtype}; weights are F32, F16 or BF16."),
        };
        var raw = empty(entry.Shape.ToArray(), stored);
        file.Read(entry).CopyTo(raw.bytes);
        var weight = raw.to(dtype, device);
        if (!ReferenceEquals(weight, raw) && weight.Handle != raw.Handle) raw.Dispose();
        return weight.DetachFromDisposeScope();
    }
}
