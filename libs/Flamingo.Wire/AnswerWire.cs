using Flamingo.Abstractions;
using Google.Protobuf;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>Converts the streamed events of the public service's answers.</summary>
public static class AnswerWire
{
    public static V1.GenerateResponse ToMessage(this AnswerEvent item) => item switch
    {
        PicturesResolved pictures => new V1.GenerateResponse { Pictures = pictures.ToMessage() },
        AnswerTokens tokens => new V1.GenerateResponse { Tokens = ToMessage(tokens) },
        AnswerFinished end => new V1.GenerateResponse { Finished = end.ToMessage() },
        _ => throw new InvalidOperationException($"{item.GetType().Name} cannot be sent as an event."),
    };

    /// <exception cref="FlamingoException">Internal: an empty event; InvalidArgument: a tensor whose bytes do not fit.</exception>
    public static AnswerEvent ToRecord(this V1.GenerateResponse message) => message.EventCase switch
    {
        V1.GenerateResponse.EventOneofCase.Pictures => message.Pictures.ToRecord(),
        V1.GenerateResponse.EventOneofCase.Tokens => ToRecord(message.Tokens),
        V1.GenerateResponse.EventOneofCase.Finished => message.Finished.ToRecord(),
        _ => throw new FlamingoException(FlamingoErrorKind.Internal, "The server sent an empty event."),
    };

    internal static V1.PicturesResolved ToMessage(this PicturesResolved record)
    {
        var message = new V1.PicturesResolved
        {
            LookupMs = record.Lookup.TotalMilliseconds, VisionMs = record.Vision.TotalMilliseconds,
            ResampleMs = record.Resample.TotalMilliseconds, Cache = record.Cache.ToMessage(), Shots = record.Shots?.ToMessage(),
        };
        message.Pictures.AddRange(record.Pictures.Select(ResultWire.ToMessage));
        return message;
    }

    internal static PicturesResolved ToRecord(this V1.PicturesResolved message) => new(
        [.. message.Pictures.Select(ResultWire.ToRecord)], TimeWire.Milliseconds(message.LookupMs),
        TimeWire.Milliseconds(message.VisionMs), TimeWire.Milliseconds(message.ResampleMs))
    {
        Cache = message.Cache.ToRecord(), Shots = message.Shots?.ToRecord(),
    };

    internal static V1.AnswerFinished ToMessage(this AnswerFinished record)
    {
        var message = new V1.AnswerFinished
        {
            Reason = (V1.FinishReason)record.Reason, PromptTokens = record.PromptTokens, GeneratedTokens = record.GeneratedTokens,
            Seed = record.Seed, Timings = record.Timings.ToMessage(), Digests = record.Digests.ToMessage(),
            CachedTokens = record.CachedTokens,
        };
        message.Samples.AddRange(record.Samples.Select(ToMessage));
        return message;
    }

    internal static AnswerFinished ToRecord(this V1.AnswerFinished message) => new(
        (FinishReason)message.Reason, message.PromptTokens, message.GeneratedTokens, message.Seed, message.Timings.ToRecord(),
        message.Digests.ToRecord())
    {
        CachedTokens = message.CachedTokens,
        Samples = [.. message.Samples.Select(ToRecord)],
    };

    public static V1.TokenLogProbability ToMessage(this TokenLogProbability record)
    {
        var message = new V1.TokenLogProbability { Id = record.Id, LogProbability = record.LogProbability, Text = Text(record, 0) };
        message.Top.AddRange(record.Top.Select((top, index) =>
            new V1.LogProbability { Id = top.Id, LogProbability_ = top.LogProbability, Text = Text(record, index + 1) }));
        return message;
    }

    public static TokenLogProbability ToRecord(this V1.TokenLogProbability message) =>
        new(message.Id, message.LogProbability, [.. message.Top.Select(top => (top.Id, top.LogProbability_))])
        {
            Texts = message.Text.IsEmpty && message.Top.All(top => top.Text.IsEmpty)
                ? [] // the server is older than these fields
                : [message.Text.Memory, .. message.Top.Select(top => top.Text.Memory)],
        };

    public static V1.FinishedSample ToMessage(this FinishedSample record)
    {
        var message = new V1.FinishedSample { Reason = (V1.FinishReason)record.Reason, GeneratedTokens = record.GeneratedTokens };
        if (record.Score is { } score) message.Score = score;
        return message;
    }

    public static FinishedSample ToRecord(this V1.FinishedSample message) =>
        new((FinishReason)message.Reason, message.GeneratedTokens, message.HasScore ? message.Score : null);

    private static ByteString Text(TokenLogProbability record, int index) =>
        index < record.Texts.Count ? UnsafeByteOperations.UnsafeWrap(record.Texts[index]) : ByteString.Empty;

    private static V1.AnswerTokens ToMessage(AnswerTokens record)
    {
        var message = new V1.AnswerTokens { Text = record.Text, Sample = record.Sample };
        message.Ids.AddRange(record.Ids);
        message.LogProbabilities.AddRange(record.LogProbabilities.Select(ToMessage));
        message.Attention.AddRange(record.Attention.Select(ToMessage));
        return message;
    }

    private static AnswerTokens ToRecord(V1.AnswerTokens message) => new(message.Text, [.. message.Ids])
    {
        Sample = message.Sample,
        LogProbabilities = [.. message.LogProbabilities.Select(ToRecord)],
        Attention = [.. message.Attention.Select(ToRecord)],
    };

    private static V1.AttentionMap ToMessage(TokenAttention? attention) => attention is null
        ? new V1.AttentionMap()
        : new V1.AttentionMap { Picture = attention.Picture, Weights = attention.Weights.ToMessage(), Map = attention.Map?.ToMessage() };

    private static TokenAttention? ToRecord(V1.AttentionMap message) => message.Weights is null
        ? null
        : new TokenAttention(message.Picture, message.Weights.ToRecord("weights")) { Map = message.Map.ToRecord("map") };
}
