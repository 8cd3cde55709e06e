using Flamingo.Fixtures.Reference;
using Flamingo.Testing;

namespace Flamingo.VisionEncoder.Tests;

/// <summary>Reads tensors that the original implementation computed, and reference pictures.</summary>
internal static class Golden
{
    public static (float[] Values, int[] Shape) Tensor(string family, string name)
    {
        string[] file = family == "shapes" ? ["shapes", "evaluation", "golden.safetensors"]
            : family == "modules" ? ["modules.safetensors"]
            : ["families", family, "golden.safetensors"];
        return ReferenceTensors.Read(RepositoryFiles.Path(["tests", "reference", .. file]), name);
    }

    /// <inheritdoc cref="ReferenceTensors.Error"/>
    public static double Error(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual) => ReferenceTensors.Error(expected, actual);

    public static ReadOnlyMemory<byte> Picture(int number) =>
        Picture(new[] { "picture-0.png", "picture-1.jpg", "picture-2.png", "picture-3.webp", "picture-4.png" }[number]);

    public static ReadOnlyMemory<byte> Picture(string name) =>
        File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "pictures", name));

    public static byte[] Input(string name) => File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "preprocessing", "in", name));
}
