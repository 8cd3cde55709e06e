using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Wire;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>Converts requests and results of the vision encoder stage.</summary>
public static class VisionWire
{
    public static V1.EncodePicturesRequest ToMessage(this VisionEncodeRequest record)
    {
        var message = new V1.EncodePicturesRequest { IncludePooled = record.IncludePooled };
        message.Pictures.AddRange(record.Pictures.Select(FlamingoWire.ToMessage));
        return message;
    }

    public static VisionEncodeRequest ToRecord(this V1.EncodePicturesRequest message) =>
        new([.. message.Pictures.Select(FlamingoWire.ToRecord)], message.IncludePooled);

    public static V1.EncodePicturesResponse ToMessage(this VisionEncoding record)
    {
        var message = new V1.EncodePicturesResponse { WeightsDigest = record.WeightsDigest };
        message.Pictures.AddRange(record.Pictures.Select(picture =>
            new V1.PictureFeatures { Features = picture.Features.ToMessage(), Pooled = picture.Pooled?.ToMessage() }));
        return message;
    }

    public static VisionEncoding ToRecord(this V1.EncodePicturesResponse message) =>
        new(message.WeightsDigest, [.. message.Pictures.Select(picture =>
            new PictureFeatures(picture.Features.ToRecord("features"), picture.Pooled?.ToRecord("pooled")))]);

    public static V1.VisionEncoderStatistics ToMessage(this VisionEncoderStatistics record) => new()
    {
        Pictures = record.Pictures, Frames = record.Frames, Batches = record.Batches,
    };

    public static VisionEncoderStatistics ToRecord(this V1.VisionEncoderStatistics message) =>
        new(message.Pictures, message.Frames, message.Batches);
}
