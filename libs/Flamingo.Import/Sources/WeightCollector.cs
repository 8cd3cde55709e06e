using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

/// <summary>
/// Collects published tensors under their canonical names. Every missing, misshapen or unused tensor becomes a fault, so that one report
/// names them all.
/// </summary>
internal sealed class WeightCollector
{
    private const int MostFaults = 1000; // A wrong configuration may name thousands of layers that do not exist.

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

    /// <summary>The collected tensors by canonical name.</summary>
    public Dictionary<string, SourceTensor> Tensors { get; } = new(StringComparer.Ordinal);

    /// <summary>Returns a collector for another part of the same source. The parts share the record of used tensors.</summary>
    public WeightCollector NewPart() => new(_source, _label, _faults, _used);

    /// <summary>Published names of all tensors of the source.</summary>
    public IEnumerable<string> Names => _source.Tensors.Keys;

    public bool Has(string name) => _source.Tensors.ContainsKey(name);

    /// <summary>Counts the elements <c>name.0</c>, <c>name.1</c>, … that hold a tensor of the given name, up to the first gap.</summary>
    public int Count(string name, string tensor)
    {
        var count = 0;
        while (Has($"{name}.{count}.{tensor}")) count++;
        return count;
    }

    /// <summary>
    /// Returns the shape of a tensor, or adds a fault and returns null if the tensor is missing or has another number of dimensions.
    /// </summary>
    public IReadOnlyList<long>? ShapeOf(string name, int dimensions)
    {
        if (_source.Tensors.TryGetValue(name, out var tensor) && tensor.Shape.Count == dimensions) return tensor.Shape;
        Fault(tensor is null
            ? $"missing: {name} in {_label}" : $"misshapen: {name} in {_label} is [{string.Join(", ", tensor.Shape)}] where "
                + $"{dimensions} dimensions are expected");
        return null;
    }

    /// <summary>
    /// Returns a tensor and marks it as used, or adds a fault and returns null if the tensor is missing or has another shape or an
    /// unusable dtype.
    /// </summary>
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
                + "expected");
        else if (!WeightDtypes.All.Contains(tensor.Dtype))
            Fault($"unusable: {name} in {_label} has dtype {tensor.Dtype}; weights are {string.Join(", ", WeightDtypes.All)}");
        else return tensor;
        return null;
    }

    /// <summary>Adds a tensor to the collection. A null adds nothing.</summary>
    public void Put(string canonical, SourceTensor? tensor)
    {
        if (tensor is not null) Tensors[canonical] = tensor;
    }

    public void Take(string canonical, string name, params ReadOnlySpan<long> shape) => Put(canonical, Find(name, shape));

    public void TakeOptional(string canonical, string name, params ReadOnlySpan<long> shape)
    {
        if (Has(name)) Take(canonical, name, shape);
    }

    /// <summary>Takes the weight and the bias of a linear layer.</summary>
    /// <param name="canonical">Canonical name of the layer.</param>
    /// <param name="name">Published name of the layer.</param>
    /// <param name="outputs">Rows of the weight.</param>
    /// <param name="inputs">Columns of the weight.</param>
    /// <param name="bias">Whether the layer must have a bias. Null takes a bias if there is one.</param>
    public void TakeLinear(string canonical, string name, long outputs, long inputs, bool? bias = null)
    {
        Take($"{canonical}.weight", $"{name}.weight", outputs, inputs);
        if (bias ?? Has($"{name}.bias")) Take($"{canonical}.bias", $"{name}.bias", outputs);
    }

    /// <summary>Takes the weight and the bias of a normalisation layer.</summary>
    /// <param name="canonical">Canonical name of the layer.</param>
    /// <param name="name">Published name of the layer.</param>
    /// <param name="width">Length of weight and bias.</param>
    /// <param name="bias">Whether the layer must have a bias. Null takes a bias if there is one.</param>
    public void TakeNorm(string canonical, string name, long width, bool? bias = null)
    {
        Take($"{canonical}.weight", $"{name}.weight", width);
        if (bias ?? Has($"{name}.bias")) Take($"{canonical}.bias", $"{name}.bias", width);
    }

    /// <summary>Joins several linear layers with the same input into one layer by concatenating their outputs.</summary>
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
            throw new CheckpointException($"The parts of the publication do not fit each other: there are {MostFaults} faults or more, so "
                + $"the configuration and {_label} ({_source.Files[0]}, …) are of different models. The first faults are: "
                + $"{string.Join("; ", _faults.Take(3))}.");
    }

    /// <summary>Marks tensors as used by their published names, so that <see cref="ReportUnused"/> does not report them.</summary>
    public void Ignore(Func<string, bool> names) => _used.UnionWith(_source.Tensors.Keys.Where(names));

    /// <summary>Adds a fault for every tensor of the source that no part has used.</summary>
    public void ReportUnused() =>
        _faults.AddRange(_source.Tensors.Keys.Where(name => !_used.Contains(name)).Order(StringComparer.Ordinal)
            .Select(name => $"unexpected: {name} in {_label}"));
}
