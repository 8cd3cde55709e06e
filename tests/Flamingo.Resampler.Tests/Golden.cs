using Flamingo.Abstractions;
using Flamingo.Fixtures.Reference;
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
        return ReferenceTensors.Read(RepositoryFiles.Path(["tests", "reference", .. file]), name);
    }

    /// <inheritdoc cref="ReferenceTensors.Error"/>
    public static double Error(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual) => ReferenceTensors.Error(expected, actual);

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
