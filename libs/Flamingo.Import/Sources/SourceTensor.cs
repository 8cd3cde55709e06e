using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

/// <summary>A tensor of a published file. Its elements are in memory only after they were read.</summary>
/// <param name="Name">Name of the tensor in the file.</param>
/// <param name="Dtype">Dtype as safetensors spells it, such as F32.</param>
/// <param name="Shape">Length of each dimension.</param>
/// <param name="Read">Reads the elements: row-major, contiguous, little-endian.</param>
public sealed record SourceTensor(string Name, string Dtype, IReadOnlyList<long> Shape, Func<byte[]> Read)
{
    /// <summary>Size in bytes.</summary>
    public long Length => Shape.Aggregate(1L, (product, size) => checked(product * size)) * SafetensorsFile.ElementSize(Dtype);
}
