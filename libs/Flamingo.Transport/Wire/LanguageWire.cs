using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Wire;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>Converts requests and rankings of the language model stage.</summary>
public static class LanguageWire
{
    public static V1.Segment ToMessage(this PromptSegment segment) => segment switch
    {
        TextSegment text => new V1.Segment { Text = text.Text },
        PictureSegment picture => new V1.Segment
        {
            Picture = new V1.KeyedPicture
            {
                Key = picture.Key, Latents = picture.Latents?.ToMessage(), Checksum = picture.Checksum.ToByteString(),
            },
        },
        _ => throw new InvalidOperationException($"{segment.GetType().Name} cannot be sent as a segment."),
    };

    public static IReadOnlyList<PromptSegment> ToRecords(this IEnumerable<V1.Segment> messages) =>
        [.. messages.Select((message, index) => (PromptSegment)(message.SegmentCase switch
        {
            V1.Segment.SegmentOneofCase.Text => new TextSegment(message.Text),
            V1.Segment.SegmentOneofCase.Picture => ToRecord(message.Picture, $"segments[{index}].picture"),
            _ => throw FlamingoException.Invalid($"segments[{index}]", "The segment is empty.", "Set text or picture."),
        }))];

    // A gateway of an earlier version sends no checksum besides that of the latents.
    private static PictureSegment ToRecord(V1.KeyedPicture message, string field)
    {
        var record = new PictureSegment(message.Key, message.Latents?.ToRecord($"{field}.latents"));
        return message.Checksum.IsEmpty ? record : record with { Checksum = message.Checksum.Memory };
    }

    public static V1.GenerateTokensRequest ToMessage(this LanguageModelRequest record)
    {
        var message = new V1.GenerateTokensRequest
        {
            Sampling = record.Sampling.ToMessage(), Tenant = record.Tenant, PinPrefix = record.PinPrefix.ToMessage(),
            Attention = record.Attention?.ToMessage(),
        };
        message.Segments.AddRange(record.Segments.Select(ToMessage));
        return message;
    }

    public static LanguageModelRequest ToRecord(this V1.GenerateTokensRequest message) =>
        new(message.Segments.ToRecords(), message.Sampling.ToRecord())
    {
        Tenant = message.Tenant, PinPrefix = message.PinPrefix.ToRecord("pin_prefix"), Attention = message.Attention?.ToRecord(),
    };

    public static V1.RankCandidatesRequest ToMessage(this RankRequest record)
    {
        var message = new V1.RankCandidatesRequest { Tenant = record.Tenant, PinPrefix = record.PinPrefix.ToMessage() };
        message.Segments.AddRange(record.Segments.Select(ToMessage));
        message.Candidates.AddRange(record.Candidates);
        return message;
    }

    public static RankRequest ToRecord(this V1.RankCandidatesRequest message) => new(message.Segments.ToRecords(), [.. message.Candidates])
    {
        Tenant = message.Tenant, PinPrefix = message.PinPrefix.ToRecord("pin_prefix"),
    };

    public static V1.RankCandidatesResponse ToMessage(this Ranking record)
    {
        var message = new V1.RankCandidatesResponse
        {
            PromptTokens = record.PromptTokens, PrefillMs = record.Prefill.TotalMilliseconds, TotalMs = record.Total.TotalMilliseconds,
            WeightsDigest = record.WeightsDigest,
            CachedTokens = record.CachedTokens,
        };
        message.Candidates.AddRange(record.Candidates.Select(ResultWire.ToMessage));
        return message;
    }

    public static Ranking ToRecord(this V1.RankCandidatesResponse message) =>
        new(
            [.. message.Candidates.Select(ResultWire.ToRecord)], message.PromptTokens, TimeWire.Milliseconds(message.PrefillMs),
            TimeWire.Milliseconds(message.TotalMs), message.WeightsDigest)
        {
            CachedTokens = message.CachedTokens,
        };
}
