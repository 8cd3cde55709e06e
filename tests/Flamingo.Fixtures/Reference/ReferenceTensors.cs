using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Stages;

namespace Flamingo.Fixtures.Reference;

/// <summary>Reads tensors that the original code computed, and compares other tensors with them.</summary>
public static class ReferenceTensors
{
    /// <summary>A float32 tensor of a safetensors file.</summary>
    public static (float[] Values, int[] Shape) Read(string file, string name)
    {
        using var opened = SafetensorsFile.Open(file);
        var entry = opened.Entries[name];
        return (MemoryMarshal.Cast<byte, float>(opened.Read(entry)).ToArray(), [.. entry.Shape.Select(length => (int)length)]);
    }

    /// <summary>The tensors along the first dimension of a tensor.</summary>
    public static IReadOnlyList<TensorData> ReadRows(string file, string name)
    {
        var (values, shape) = Read(file, name);
        var size = values.Length / shape[0];
        return [.. Enumerable.Range(0, shape[0]).Select(row => TensorData.FromFloats(values.AsSpan(row * size, size), shape[1..]))];
    }

    /// <summary>
    /// The largest difference, relative to the largest absolute expected value; infinite where the lengths differ or a value is not finite.
    /// </summary>
    public static double Error(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        if (expected.Length != actual.Length) return double.PositiveInfinity;
        var (error, largest) = (0.0, 0.0);
        for (var index = 0; index < expected.Length; index++)
        {
            if (!float.IsFinite(actual[index])) return double.PositiveInfinity;
            error = Math.Max(error, Math.Abs((double)expected[index] - actual[index]));
            largest = Math.Max(largest, Math.Abs(expected[index]));
        }

        return error / largest;
    }
}
