using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Wire;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>Converts requests and results of the resampler stage.</summary>
public static class ResamplerWire
{
    public static V1.ResampleRequest ToMessage(this ResampleRequest record)
    {
        var message = new V1.ResampleRequest { IncludeAttention = record.IncludeAttention };
        message.Features.AddRange(record.Features.Select(TensorWire.ToMessage));
        return message;
    }

    public static ResampleRequest ToRecord(this V1.ResampleRequest message) =>
        new(message.Features.ToRecords("features"), message.IncludeAttention);

    public static V1.ResampleResponse ToMessage(this Resampling record)
    {
        var message = new V1.ResampleResponse { WeightsDigest = record.WeightsDigest };
        message.Latents.AddRange(record.Latents.Select(TensorWire.ToMessage));
        message.Attention.AddRange(record.Attention.Select(TensorWire.ToMessage));
        return message;
    }

    public static Resampling ToRecord(this V1.ResampleResponse message) =>
        new(message.WeightsDigest, message.Latents.ToRecords("latents"), message.Attention.ToRecords("attention"));
}
