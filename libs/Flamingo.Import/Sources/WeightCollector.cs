using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

/// <summary>Takes source tensors under canonical names and remembers everything that does not fit, for one report.</summary>
internal sealed class WeightCollector
{
    private const int MostFaults = 1000; // a configuration may ask for more layers than a report can hold

    private readonly WeightSource _source;
    private readonly string _label;
    private readonly List<string> _faults;
    private readonly HashSet<string> _used;

    public WeightCollector(WeightSource source, string label, List<string> faults)
        : this(source, label, faults, new(StringComparer.Ordinal))
    {
    }

    private WeightCollector(WeightSource source, string label, List<string> faults, HashSet<string> used) =>
        (_source, _label, _faults, _used) = (source, label, faults, used);

    public Dictionary<string, SourceTensor> Tensors { get; } = new(StringComparer.Ordinal);

    /// <summary>Another collection from the same source: what one takes is used for all.</summary>
    public WeightCollector NewPart() => new(_source, _label, _faults, _used);

    /// <summary>Names of all tensors of the source.</summary>
    public IEnumerable<string> Names => _source.Tensors.Keys;

    public bool Has(string name) => _source.Tensors.ContainsKey(name);

    /// <summary>How many of <c>name.0</c>, <c>name.1</c>, … hold this tensor, without a gap.</summary>
    public int Count(string name, string tensor)
    {
        var count = 0;
        while (Has($"{name}.{count}.{tensor}")) count++;
        return count;
    }

    /// <summary>The shape, or null (and a fault) where the tensor is missing or has another number of dimensions.</summary>
    public IReadOnlyList<long>? ShapeOf(string name, int dimensions)
    {
        if (_source.Tensors.TryGetValue(name, out var tensor) && tensor.Shape.Count == dimensions) return tensor.Shape;
        Fault(tensor is null ? $"missing: {name} in {_label}" : $"misshapen: {name} in {_label} is [{string.Join(", ", tensor.Shape)}] "
            + $"where {dimensions} dimensions are expected");
        return null;
    }

    /// <summary>The tensor, or null (and a fault) where it is missing or does not fit.</summary>
    public SourceTensor? Find(string name, params ReadOnlySpan<long> shape)
    {
        if (!_source.Tensors.TryGetValue(name, out var tensor))
        {
            Fault($"missing: {name} in {_label}");
            return null;
        }

        _used.Add(name);
        if (!tensor.Shape.SequenceEqual(shape.ToArray()))
            Fault($"misshapen: {name} in {_label} is [{string.Join(", ", tensor.Shape)}] where [{string.Join(", ", shape.ToArray())}] is "
                + $"expected");
        else if (!WeightDtypes.All.Contains(tensor.Dtype))
            Fault($"unusable: {name} in {_label} has dtype {tensor.Dtype}; weights are {string.Join(", ", WeightDtypes.All)}");
        else return tensor;
        return null;
    }

    public void Put(string canonical, SourceTensor? tensor)
    {
        if (tensor is not null) Tensors[canonical] = tensor;
    }

    public void Take(string canonical, string name, params ReadOnlySpan<long> shape) => Put(canonical, Find(name, shape));

    public void TakeOptional(string canonical, string name, params ReadOnlySpan<long> shape)
    {
        if (Has(name)) Take(canonical, name, shape);
    }

    /// <summary>A linear layer's weight and bias.</summary>
    /// <param name="bias">Whether there must be one; null takes it where it is.</param>
    public void TakeLinear(string canonical, string name, long outputs, long inputs, bool? bias = null)
    {
        Take($"{canonical}.weight", $"{name}.weight", outputs, inputs);
        if (bias ?? Has($"{name}.bias")) Take($"{canonical}.bias", $"{name}.bias", outputs);
    }

    /// <summary>A norm's weight and bias.</summary>
    /// <param name="bias">Whether there must be one; null takes it where it is.</param>
    public void TakeNorm(string canonical, string name, long width, bool? bias = null)
    {
        Take($"{canonical}.weight", $"{name}.weight", width);
        if (bias ?? Has($"{name}.bias")) Take($"{canonical}.bias", $"{name}.bias", width);
    }

    /// <summary>Several linear layers of one input as one, outputs one below the other.</summary>
    public void TakeJoined(string canonical, IReadOnlyList<string> names, IReadOnlyList<long> outputs, long inputs)
    {
        Put($"{canonical}.weight", Rows.Join([.. names.Zip(outputs, (name, rows) => Find($"{name}.weight", rows, inputs))]));
        if (names.Any(name => Has($"{name}.bias")))
            Put($"{canonical}.bias", Rows.Join([.. names.Zip(outputs, (name, rows) => Find($"{name}.bias", rows))]));
    }

    private void Fault(string what)
    {
        _faults.Add(what);
        if (_faults.Count >= MostFaults)
            throw new CheckpointException($"The publication does not fit together, in {MostFaults} places and more; configuration and "
                + $"{_label} ({_source.Files[0]}, …) are of different models. The first: {string.Join("; ", _faults.Take(3))}.");
    }

    /// <summary>Names that may stand in the source unused.</summary>
    public void Ignore(Func<string, bool> names) => _used.UnionWith(_source.Tensors.Keys.Where(names));

    public void ReportUnused() =>
        _faults.AddRange(
            _source.Tensors.Keys.Where(name => !_used.Contains(name))
                .Order(StringComparer.Ordinal)
                .Select(name => $"unexpected: {name} in {_label}"));
}
