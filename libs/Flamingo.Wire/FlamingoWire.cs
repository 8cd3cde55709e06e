using Flamingo.Abstractions;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>Converts the public service's requests and their segments.</summary>
public static class FlamingoWire
{
    public static V1.GenerateRequest ToMessage(this FlamingoRequest record)
    {
        var message = new V1.GenerateRequest
        {
            Sampling = record.Sampling.ToMessage(), PinPrefix = record.PinPrefix.ToMessage(), Attention = record.Attention?.ToMessage(),
            SupportSet = record.SupportSet?.ToMessage(),
        };
        message.Segments.AddRange(record.Segments.Select(ToMessage));
        return message;
    }

    public static FlamingoRequest ToRecord(this V1.GenerateRequest message, string tenant) =>
        new(message.Segments.ToRecords(), message.Sampling.ToRecord())
        {
            Tenant = tenant, SupportSet = message.SupportSet?.ToRecord(), PinPrefix = message.PinPrefix.ToRecord("pin_prefix"),
            Attention = message.Attention?.ToRecord(),
        };

    public static V1.RankRequest ToMessage(this FlamingoRankRequest record)
    {
        var message = new V1.RankRequest
        {
            PinPrefix = record.PinPrefix.ToMessage(), SupportSet = record.SupportSet?.ToMessage(), Ensemble = record.Ensemble?.ToMessage(),
        };
        message.Segments.AddRange(record.Segments.Select(ToMessage));
        message.Candidates.AddRange(record.Candidates);
        return message;
    }

    public static FlamingoRankRequest ToRecord(this V1.RankRequest message, string tenant) =>
        new(message.Segments.ToRecords(), [.. message.Candidates])
        {
            Tenant = tenant, SupportSet = message.SupportSet?.ToRecord(), Ensemble = message.Ensemble?.ToRecord(),
            PinPrefix = message.PinPrefix.ToRecord("pin_prefix"),
        };

    public static V1.EncodeRequest ToMessage(this FlamingoEncodeRequest record)
    {
        var message = new V1.EncodeRequest { IncludePooled = record.IncludePooled };
        message.Pictures.AddRange(record.Pictures.Select(ToVisual));
        return message;
    }

    public static FlamingoEncodeRequest ToRecord(this V1.EncodeRequest message, string tenant) =>
        new([.. message.Pictures.Select((picture, index) => picture.ToRecord($"pictures[{index}]"))], message.IncludePooled)
        {
            Tenant = tenant,
        };

    public static V1.PromptSegment ToMessage(this FlamingoSegment segment) => segment switch
    {
        FlamingoText text => new V1.PromptSegment { Text = text.Text },
        FlamingoPicture picture => new V1.PromptSegment { Picture = picture.Bytes.ToByteString() },
        FlamingoPictureId known => new V1.PromptSegment { PictureId = known.Id },
        FlamingoVideo video => new V1.PromptSegment { Video = video.Input.ToMessage() },
        _ => throw new InvalidOperationException($"{segment.GetType().Name} cannot be sent as a segment."),
    };

    public static IReadOnlyList<FlamingoSegment> ToRecords(this IEnumerable<V1.PromptSegment> messages) =>
        [.. messages.Select((message, index) => (FlamingoSegment)(message.SegmentCase switch
        {
            V1.PromptSegment.SegmentOneofCase.Text => new FlamingoText(message.Text),
            V1.PromptSegment.SegmentOneofCase.Picture => new FlamingoPicture(message.Picture.Memory),
            V1.PromptSegment.SegmentOneofCase.PictureId => new FlamingoPictureId(message.PictureId),
            V1.PromptSegment.SegmentOneofCase.Video => new FlamingoVideo(message.Video.ToRecord()),
            _ => throw FlamingoException.Invalid($"segments[{index}]", "The segment is empty.", "Set text, picture, picture_id or video."),
        }))];

    public static V1.VisualInput ToMessage(this VisualInput record)
    {
        var message = new V1.VisualInput { MaxFrames = record.MaxFrames };
        message.Files.AddRange(record.Files.Select(TensorWire.ToByteString));
        return message;
    }

    public static VisualInput ToRecord(this V1.VisualInput message) =>
        new([.. message.Files.Select(file => file.Memory)], message.MaxFrames);

    internal static V1.Visual ToVisual(this FlamingoVisual record) => record switch
    {
        FlamingoPicture still => new V1.Visual { Picture = still.Bytes.ToByteString() },
        FlamingoPictureId known => new V1.Visual { PictureId = known.Id },
        FlamingoVideo video => new V1.Visual { Video = video.Input.ToMessage() },
        _ => throw new InvalidOperationException($"{record.GetType().Name} cannot be sent as a segment."),
    };

    /// <param name="path">Path of the field, for errors.</param>
    internal static FlamingoVisual ToRecord(this V1.Visual message, string path) => message.VisualCase switch
    {
        V1.Visual.VisualOneofCase.Picture => new FlamingoPicture(message.Picture.Memory),
        V1.Visual.VisualOneofCase.PictureId => new FlamingoPictureId(message.PictureId),
        V1.Visual.VisualOneofCase.Video => new FlamingoVideo(message.Video.ToRecord()),
        _ => throw FlamingoException.Invalid(path, "The picture is empty.", "Set picture, picture_id or video."),
    };
}
