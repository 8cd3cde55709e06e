using Flamingo.Abstractions;
using Flamingo.Checkpoints;

namespace Flamingo.Cli.Verifying;

/// <summary>Compares tensors with golden tensors by name, and records which golden tensors were used.</summary>
public sealed class GoldenTensors(SafetensorsFile file)
{
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    public IEnumerable<string> Unused => file.Entries.Keys.Where(name => !_used.Contains(name)).Order(StringComparer.Ordinal);

    /// <summary>The tensor in the dtype of the file (F32, F16 or BF16), or null if the file has no tensor of that name.</summary>
    public TensorData? Find(string name)
    {
        if (!file.Entries.TryGetValue(name, out var entry)) return null;
        _used.Add(name);
        var dtype = entry.Dtype switch
        {
            "F32" => TensorDtype.Float32,
            "F16" => TensorDtype.Float16,
            "BF16" => TensorDtype.BFloat16,
            _ => throw new CheckpointException($"{file.Path}: {name} has dtype {entry.Dtype}; goldens are F32, F16 or BF16."),
        };
        return new TensorData(dtype, [.. entry.Shape.Select(length => checked((int)length))], file.Read(entry).ToArray());
    }

    public Comparison Compare(string name, TensorData? actual, string why = "")
    {
        if (Find(name) is not { } golden) return new(name, Outcome.Skipped, $"not in {Path.GetFileName(file.Path)}");
        if (actual is null) return new(name, Outcome.Skipped, why);
        return golden.Shape.SequenceEqual(actual.Shape)
            ? Comparison.OfTensors(name, golden.ToFloats(), actual.ToFloats())
            : new(
                name, Outcome.Broken,
                $"shape [{string.Join(", ", actual.Shape)}] where the golden has [{string.Join(", ", golden.Shape)}]");
    }
}
