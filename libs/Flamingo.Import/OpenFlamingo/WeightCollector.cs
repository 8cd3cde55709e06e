using Flamingo.Import.Sources;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>Takes source tensors under canonical names and remembers everything that does not fit, for one report.</summary>
internal sealed class WeightCollector(WeightSource source, string label, List<string> faults)
{
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    public Dictionary<string, SourceTensor> Tensors { get; } = new(StringComparer.Ordinal);

    public bool Has(string name) => source.Tensors.ContainsKey(name);

    /// <summary>The shape, or null (and a fault) where the tensor is missing or has another number of dimensions.</summary>
    public IReadOnlyList<long>? ShapeOf(string name, int dimensions)
    {
        if (source.Tensors.TryGetValue(name, out var tensor) && tensor.Shape.Count == dimensions) return tensor.Shape;
        faults.Add(tensor is null ? $"missing: {name} in {label}" : $"misshapen: {name} in {label} is [{string.Join(", ", tensor.Shape)}] where {dimensions} dimensions are expected");
        return null;
    }

    public void Take(string canonical, string name, params ReadOnlySpan<long> shape)
    {
        if (!source.Tensors.TryGetValue(name, out var tensor))
        {
            faults.Add($"missing: {name} in {label}");
            return;
        }

        _used.Add(name);
        if (!tensor.Shape.SequenceEqual(shape.ToArray()))
            faults.Add($"misshapen: {name} in {label} is [{string.Join(", ", tensor.Shape)}] where [{string.Join(", ", shape.ToArray())}] is expected");
        else if (tensor.Dtype is not ("F32" or "F16" or "BF16"))
            faults.Add($"unusable: {name} in {label} has dtype {tensor.Dtype}; weights are F32, F16 or BF16");
        else Tensors[canonical] = tensor;
    }

    public void TakeOptional(string canonical, string name, params ReadOnlySpan<long> shape)
    {
        if (Has(name)) Take(canonical, name, shape);
    }

    /// <summary>Names that may stand in the source unused.</summary>
    public void Ignore(Func<string, bool> names) => _used.UnionWith(source.Tensors.Keys.Where(names));

    public void ReportUnused() => faults.AddRange(source.Tensors.Keys.Where(name => !_used.Contains(name)).Order(StringComparer.Ordinal).Select(name => $"unexpected: {name} in {label}"));
}
