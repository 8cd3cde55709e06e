using Flamingo.Stages;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>The public service's prompts and answers.</summary>
public static class FlamingoWire
{
    public static V1.PromptSegment ToMessage(this FlamingoSegment segment) => segment switch
    {
        FlamingoText text => new V1.PromptSegment { Text = text.Text },
        FlamingoPicture picture => new V1.PromptSegment { Picture = picture.Bytes.ToByteString() },
        FlamingoPictureId known => new V1.PromptSegment { PictureId = known.Id },
        _ => throw new InvalidOperationException($"{segment.GetType().Name} does not travel."),
    };

    public static IReadOnlyList<FlamingoSegment> ToRecords(this IEnumerable<V1.PromptSegment> messages) => [.. messages.Select((message, index) => (FlamingoSegment)(message.SegmentCase switch
    {
        V1.PromptSegment.SegmentOneofCase.Text => new FlamingoText(message.Text),
        V1.PromptSegment.SegmentOneofCase.Picture => new FlamingoPicture(message.Picture.Memory),
        V1.PromptSegment.SegmentOneofCase.PictureId => new FlamingoPictureId(message.PictureId),
        _ => throw StageException.Invalid($"segments[{index}]", "The segment is empty.", "Set text, picture or picture_id."),
    }))];

    public static V1.GenerateResponse ToMessage(this AnswerEvent item)
    {
        switch (item)
        {
            case PicturesResolved pictures:
                var resolved = new V1.PicturesResolved { LookupMs = pictures.Lookup.TotalMilliseconds, VisionMs = pictures.Vision.TotalMilliseconds, ResampleMs = pictures.Resample.TotalMilliseconds };
                resolved.Pictures.AddRange(pictures.Pictures.Select(ToMessage));
                return new V1.GenerateResponse { Pictures = resolved };
            case AnswerTokens tokens:
                return new V1.GenerateResponse { Tokens = LanguageWire.Tokens(tokens.Text, tokens.Ids) };
            case AnswerFinished end:
                return new V1.GenerateResponse
                {
                    Finished = new V1.AnswerFinished
                    {
                        Reason = (V1.FinishReason)end.Reason, PromptTokens = end.PromptTokens, GeneratedTokens = end.GeneratedTokens, Seed = end.Seed,
                        Timings = end.Timings.ToMessage(), Digests = end.Digests.ToMessage(),
                    },
                };
            default:
                throw new InvalidOperationException($"{item.GetType().Name} does not travel.");
        }
    }

    public static AnswerEvent ToRecord(this V1.GenerateResponse message) => message.EventCase switch
    {
        V1.GenerateResponse.EventOneofCase.Pictures => new PicturesResolved(
            [.. message.Pictures.Pictures.Select(ToRecord)], LanguageWire.Milliseconds(message.Pictures.LookupMs), LanguageWire.Milliseconds(message.Pictures.VisionMs), LanguageWire.Milliseconds(message.Pictures.ResampleMs)),
        V1.GenerateResponse.EventOneofCase.Tokens => new AnswerTokens(message.Tokens.Text, [.. message.Tokens.Ids]),
        V1.GenerateResponse.EventOneofCase.Finished => new AnswerFinished(
            (FinishReason)message.Finished.Reason, message.Finished.PromptTokens, message.Finished.GeneratedTokens, message.Finished.Seed, message.Finished.Timings.ToRecord(), message.Finished.Digests.ToRecord()),
        _ => throw new StageException(StageErrorKind.Internal, "The server sent an empty event."),
    };

    public static V1.RankResponse ToMessage(this FlamingoRanking record)
    {
        var message = new V1.RankResponse { PromptTokens = record.PromptTokens, Timings = record.Timings.ToMessage(), Digests = record.Digests.ToMessage() };
        message.Candidates.AddRange(record.Candidates.Select(LanguageWire.ToMessage));
        message.Pictures.AddRange(record.Pictures.Select(ToMessage));
        return message;
    }

    public static FlamingoRanking ToRecord(this V1.RankResponse message) => new(
        [.. message.Candidates.Select(LanguageWire.ToRecord)], [.. message.Pictures.Select(ToRecord)], message.PromptTokens, message.Timings.ToRecord(), message.Digests.ToRecord());

    public static V1.EncodeResponse ToMessage(this FlamingoEncoding record)
    {
        var message = new V1.EncodeResponse { Timings = record.Timings.ToMessage(), Digests = record.Digests.ToMessage() };
        message.Pictures.AddRange(record.Pictures.Select(ToMessage));
        message.Pooled.AddRange(record.Pooled.Select(TensorWire.ToMessage));
        return message;
    }

    public static FlamingoEncoding ToRecord(this V1.EncodeResponse message) => new(
        [.. message.Pictures.Select(ToRecord)], message.Pooled.ToRecords("pooled"), message.Timings.ToRecord(), message.Digests.ToRecord());

    private static V1.PictureReport ToMessage(PictureReport record) => new() { Id = record.Id, Source = (V1.PictureSource)record.Source };

    private static PictureReport ToRecord(V1.PictureReport message) => new(message.Id, (PictureSource)message.Source);

    private static V1.StageTimings ToMessage(this StageTimings record) => new()
    {
        LookupMs = record.Lookup.TotalMilliseconds, VisionMs = record.Vision.TotalMilliseconds, ResampleMs = record.Resample.TotalMilliseconds,
        PrefillMs = record.Prefill.TotalMilliseconds, FirstTokenMs = record.FirstToken.TotalMilliseconds, TotalMs = record.Total.TotalMilliseconds,
    };

    private static StageTimings ToRecord(this V1.StageTimings message) => new(
        LanguageWire.Milliseconds(message.LookupMs), LanguageWire.Milliseconds(message.VisionMs), LanguageWire.Milliseconds(message.ResampleMs),
        LanguageWire.Milliseconds(message.PrefillMs), LanguageWire.Milliseconds(message.FirstTokenMs), LanguageWire.Milliseconds(message.TotalMs));

    private static V1.ModelDigests ToMessage(this ModelDigests record) => new() { Vision = record.Vision, Resampler = record.Resampler, Language = record.Language };

    private static ModelDigests ToRecord(this V1.ModelDigests message) => new(message.Vision, message.Resampler, message.Language);
}
