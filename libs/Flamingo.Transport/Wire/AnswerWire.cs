using Flamingo.Abstractions;
using Flamingo.Stages;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>The public service's answers as they stream.</summary>
public static class AnswerWire
{
    public static V1.GenerateResponse ToMessage(this AnswerEvent item) => item switch
    {
        PicturesResolved pictures => new V1.GenerateResponse { Pictures = ToMessage(pictures) },
        AnswerTokens tokens => new V1.GenerateResponse { Tokens = ToMessage(tokens) },
        AnswerFinished end => new V1.GenerateResponse { Finished = ToMessage(end) },
        _ => throw new InvalidOperationException($"{item.GetType().Name} does not travel."),
    };

    /// <exception cref="FlamingoException">Internal: an empty event; InvalidArgument: a tensor whose bytes do not fit.</exception>
    public static AnswerEvent ToRecord(this V1.GenerateResponse message) => message.EventCase switch
    {
        V1.GenerateResponse.EventOneofCase.Pictures => ToRecord(message.Pictures),
        V1.GenerateResponse.EventOneofCase.Tokens => ToRecord(message.Tokens),
        V1.GenerateResponse.EventOneofCase.Finished => ToRecord(message.Finished),
        _ => throw new FlamingoException(FlamingoErrorKind.Internal, "The server sent an empty event."),
    };

    internal static V1.PicturesResolved ToMessage(PicturesResolved record)
    {
        var message = new V1.PicturesResolved { LookupMs = record.Lookup.TotalMilliseconds, VisionMs = record.Vision.TotalMilliseconds, ResampleMs = record.Resample.TotalMilliseconds, Cache = record.Cache.ToMessage(), Shots = record.Shots?.ToMessage() };
        message.Pictures.AddRange(record.Pictures.Select(FlamingoWire.ToMessage));
        return message;
    }

    internal static PicturesResolved ToRecord(V1.PicturesResolved message) => new(
        [.. message.Pictures.Select(FlamingoWire.ToRecord)], TimeWire.Milliseconds(message.LookupMs), TimeWire.Milliseconds(message.VisionMs), TimeWire.Milliseconds(message.ResampleMs))
    {
        Cache = message.Cache.ToRecord(), Shots = message.Shots?.ToRecord(),
    };

    private static V1.AnswerTokens ToMessage(AnswerTokens record)
    {
        var message = new V1.AnswerTokens { Text = record.Text, Sample = record.Sample };
        message.Ids.AddRange(record.Ids);
        message.LogProbabilities.AddRange(record.LogProbabilities.Select(GenerationWire.ToMessage));
        message.Attention.AddRange(record.Attention.Select(seen => seen is null
            ? new V1.AttentionMap()
            : new V1.AttentionMap { Picture = seen.Picture, Weights = seen.Weights.ToMessage(), Map = seen.Map.ToMessage() }));
        return message;
    }

    private static AnswerTokens ToRecord(V1.AnswerTokens message) => new(message.Text, [.. message.Ids])
    {
        Sample = message.Sample,
        LogProbabilities = [.. message.LogProbabilities.Select(GenerationWire.ToRecord)],
        Attention = [.. message.Attention.Select(seen => seen.Weights is null ? null : new AttentionMap(seen.Picture, seen.Weights.ToRecord("weights"), seen.Map.ToRecord("map")))],
    };

    internal static V1.AnswerFinished ToMessage(AnswerFinished record)
    {
        var message = new V1.AnswerFinished
        {
            Reason = (V1.FinishReason)record.Reason, PromptTokens = record.PromptTokens, GeneratedTokens = record.GeneratedTokens, Seed = record.Seed,
            Timings = record.Timings.ToMessage(), Digests = record.Digests.ToMessage(), CachedTokens = record.CachedTokens,
        };
        message.Samples.AddRange(record.Samples.Select(GenerationWire.ToMessage));
        return message;
    }

    internal static AnswerFinished ToRecord(V1.AnswerFinished message) => new(
        (FinishReason)message.Reason, message.PromptTokens, message.GeneratedTokens, message.Seed, message.Timings.ToRecord(), message.Digests.ToRecord())
    {
        CachedTokens = message.CachedTokens,
        Samples = [.. message.Samples.Select(GenerationWire.ToRecord)],
    };
}
