using Flamingo.Abstractions;
using Flamingo.Stages;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>The language model's events, and what they say of each token and each answer.</summary>
public static class GenerationWire
{
    public static V1.GenerateTokensResponse ToMessage(this GenerationEvent item) => item switch
    {
        TokensGenerated tokens => new V1.GenerateTokensResponse { Tokens = ToMessage(tokens) },
        GenerationFinished end => new V1.GenerateTokensResponse { Finished = ToMessage(end) },
        _ => throw new InvalidOperationException($"{item.GetType().Name} does not travel."),
    };

    /// <exception cref="FlamingoException">Internal: an empty event; InvalidArgument: a tensor whose bytes do not fit.</exception>
    public static GenerationEvent ToRecord(this V1.GenerateTokensResponse message) => message.EventCase switch
    {
        V1.GenerateTokensResponse.EventOneofCase.Tokens => ToRecord(message.Tokens),
        V1.GenerateTokensResponse.EventOneofCase.Finished => ToRecord(message.Finished),
        _ => throw new FlamingoException(FlamingoErrorKind.Internal, "The language model sent an empty event."),
    };

    private static V1.TokensGenerated ToMessage(TokensGenerated record)
    {
        var message = new V1.TokensGenerated { Text = record.Text, Sample = record.Sample };
        message.Ids.AddRange(record.Ids);
        message.LogProbabilities.AddRange(record.LogProbabilities.Select(ToMessage));
        message.Attention.AddRange(record.Attention.Select(seen => seen is null ? new V1.TokenAttention() : new V1.TokenAttention { Picture = seen.Picture, Weights = seen.Weights.ToMessage() }));
        return message;
    }

    private static TokensGenerated ToRecord(V1.TokensGenerated message) => new(message.Text, [.. message.Ids])
    {
        Sample = message.Sample,
        LogProbabilities = [.. message.LogProbabilities.Select(ToRecord)],
        Attention = [.. message.Attention.Select(seen => seen.Weights is null ? null : new TokenAttention(seen.Picture, seen.Weights.ToRecord("weights")))],
    };

    private static V1.GenerationFinished ToMessage(GenerationFinished record)
    {
        var message = new V1.GenerationFinished
        {
            Reason = (V1.FinishReason)record.Reason, PromptTokens = record.PromptTokens, GeneratedTokens = record.GeneratedTokens,
            PrefillMs = record.Prefill.TotalMilliseconds, FirstTokenMs = record.FirstToken.TotalMilliseconds, TotalMs = record.Total.TotalMilliseconds, WeightsDigest = record.WeightsDigest,
            CachedTokens = record.CachedTokens,
        };
        message.Samples.AddRange(record.Samples.Select(ToMessage));
        return message;
    }

    private static GenerationFinished ToRecord(V1.GenerationFinished message) => new(
        (FinishReason)message.Reason, message.PromptTokens, message.GeneratedTokens, TimeWire.Milliseconds(message.PrefillMs),
        TimeWire.Milliseconds(message.FirstTokenMs), TimeWire.Milliseconds(message.TotalMs), message.WeightsDigest)
    {
        CachedTokens = message.CachedTokens,
        Samples = [.. message.Samples.Select(ToRecord)],
    };

    public static V1.TokenLogProbability ToMessage(this TokenLogProbability record)
    {
        var message = new V1.TokenLogProbability { Id = record.Id, LogProbability = record.LogProbability };
        message.Top.AddRange(record.Top.Select(top => new V1.LogProbability { Id = top.Id, LogProbability_ = top.LogProbability }));
        return message;
    }

    public static TokenLogProbability ToRecord(this V1.TokenLogProbability message) => new(message.Id, message.LogProbability, [.. message.Top.Select(top => (top.Id, top.LogProbability_))]);

    public static V1.FinishedSample ToMessage(this FinishedSample record)
    {
        var message = new V1.FinishedSample { Reason = (V1.FinishReason)record.Reason, GeneratedTokens = record.GeneratedTokens };
        if (record.Score is { } score) message.Score = score;
        return message;
    }

    public static FinishedSample ToRecord(this V1.FinishedSample message) => new((FinishReason)message.Reason, message.GeneratedTokens, message.HasScore ? message.Score : null);
}
