using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Wire;
using Google.Protobuf;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>Converts latents with their checksum, without copying bytes, as <see cref="TensorWire"/> does.</summary>
public static class LatentsWire
{
    public static V1.Latents ToMessage(this ChecksummedLatents latents) =>
        new() { Tensor = latents.Tensor.ToMessage(), Checksum = UnsafeByteOperations.UnsafeWrap(latents.Checksum) };

    /// <param name="field">Name of the field, for errors.</param>
    /// <exception cref="FlamingoException">InvalidArgument: a tensor that is missing or whose bytes do not fit.</exception>
    public static ChecksummedLatents ToRecord(this V1.Latents message, string field) =>
        new(message.Tensor.ToRecord($"{field}.tensor"), message.Checksum.Memory);
}
