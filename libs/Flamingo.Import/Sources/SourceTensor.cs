using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

/// <summary>A tensor of a published file, not read yet.</summary>
/// <param name="Name">As the file names it.</param>
/// <param name="Dtype">As safetensors spells it.</param>
/// <param name="Read">Reads its elements: row-major, contiguous, little-endian.</param>
public sealed record SourceTensor(string Name, string Dtype, IReadOnlyList<long> Shape, Func<byte[]> Read)
{
    public long Length => Shape.Aggregate(1L, (product, size) => checked(product * size)) * SafetensorsFile.ElementSize(Dtype);
}
