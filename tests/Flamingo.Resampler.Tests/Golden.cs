using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Stages;
using Flamingo.Testing;

namespace Flamingo.Resampler.Tests;

/// <summary>Reads tensors that the original implementation computed.</summary>
internal static class Golden
{
    public static (float[] Values, int[] Shape) Tensor(string family, string name)
    {
        string[] file = family == "shapes" ? ["shapes", "evaluation", "golden.safetensors"]
            : family == "attention" ? ["shapes", "evaluation", "golden_attention.safetensors"]
            : family == "modules" ? ["modules.safetensors"]
            : ["families", family, "golden.safetensors"];
        using var opened = SafetensorsFile.Open(RepositoryFiles.Path(["tests", "reference", .. file]));
        var entry = opened.Entries[name];
        return (MemoryMarshal.Cast<byte, float>(opened.Read(entry)).ToArray(), [.. entry.Shape.Select(length => (int)length)]);
    }

    /// <summary>Returns the largest absolute difference, divided by the largest expected absolute value.</summary>
    public static double Error(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        var (error, largest) = (0.0, 0.0);
        for (var index = 0; index < expected.Length; index++)
        {
            if (!float.IsFinite(actual[index])) return double.PositiveInfinity;
            error = Math.Max(error, Math.Abs((double)expected[index] - actual[index]));
            largest = Math.Max(largest, Math.Abs(expected[index]));
        }

        return error / largest;
    }

    /// <summary>Splits a tensor along its first dimension.</summary>
    public static IReadOnlyList<TensorData> Rows(string family, string name)
    {
        var (values, shape) = Tensor(family, name);
        var size = values.Length / shape[0];
        return [.. Enumerable.Range(0, shape[0]).Select(row => TensorData.FromFloats(values.AsSpan(row * size, size), shape[1..]))];
    }

    /// <summary>Adds the dimension of frames that the stage expects: [patches, width] becomes [1, patches, width].</summary>
    public static TensorData AsFrame(TensorData features) => new(features.Dtype, [1, .. features.Shape], features.Bytes);
}
