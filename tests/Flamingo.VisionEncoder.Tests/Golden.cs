using System.Runtime.InteropServices;
using Flamingo.Checkpoints;
using Flamingo.Testing;

namespace Flamingo.VisionEncoder.Tests;

/// <summary>Tensors that the original computed.</summary>
internal static class Golden
{
    public static (float[] Values, int[] Shape) Tensor(string family, string name)
    {
        string[] file = family == "shapes" ? ["shapes", "evaluation", "golden.safetensors"]
            : family == "modules" ? ["modules.safetensors"]
            : ["families", family, "golden.safetensors"];
        using var opened = SafetensorsFile.Open(RepositoryFiles.Path(["tests", "reference", .. file]));
        var entry = opened.Entries[name];
        return (MemoryMarshal.Cast<byte, float>(opened.Read(entry)).ToArray(), [.. entry.Shape.Select(length => (int)length)]);
    }

    /// <summary>Largest difference, relative to the largest expected absolute value.</summary>
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

    public static ReadOnlyMemory<byte> Picture(int number) =>
        Picture(new[] { "picture-0.png", "picture-1.jpg", "picture-2.png", "picture-3.webp", "picture-4.png" }[number]);

    public static ReadOnlyMemory<byte> Picture(string name) =>
        File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "pictures", name));

    public static byte[] Input(string name) => File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "preprocessing", "in", name));
}
