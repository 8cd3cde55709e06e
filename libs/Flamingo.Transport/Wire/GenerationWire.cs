using Flamingo.Abstractions;
using Flamingo.Wire;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>
/// Converts the events that the language model stage sends: tokens without attention maps, and the final event without the fields
/// that the gateway adds.
/// </summary>
public static class GenerationWire
{
    public static V1.GenerateTokensResponse ToStageMessage(this AnswerEvent item) => item switch
    {
        AnswerTokens tokens => new V1.GenerateTokensResponse { Tokens = ToMessage(tokens) },
        AnswerFinished end => new V1.GenerateTokensResponse { Finished = ToMessage(end) },
        _ => throw new InvalidOperationException($"{item.GetType().Name} is not an event that a language model sends."),
    };

    /// <exception cref="FlamingoException">Internal: an empty event; InvalidArgument: a tensor whose bytes do not fit.</exception>
    public static AnswerEvent ToRecord(this V1.GenerateTokensResponse message) => message.EventCase switch
    {
        V1.GenerateTokensResponse.EventOneofCase.Tokens => ToRecord(message.Tokens),
        V1.GenerateTokensResponse.EventOneofCase.Finished => ToRecord(message.Finished),
        _ => throw new FlamingoException(FlamingoErrorKind.Internal, "The language model sent an empty event."),
    };

    private static V1.TokensGenerated ToMessage(AnswerTokens record)
    {
        var message = new V1.TokensGenerated { Text = record.Text, Sample = record.Sample };
        message.Ids.AddRange(record.Ids);
        message.LogProbabilities.AddRange(record.LogProbabilities.Select(AnswerWire.ToMessage));
        message.Attention.AddRange(record.Attention.Select(seen => seen is null
            ? new V1.TokenAttention()
            : new V1.TokenAttention { Picture = seen.Picture, Weights = seen.Weights.ToMessage() }));
        return message;
    }

    private static AnswerTokens ToRecord(V1.TokensGenerated message) => new(message.Text, [.. message.Ids])
    {
        Sample = message.Sample,
        LogProbabilities = [.. message.LogProbabilities.Select(AnswerWire.ToRecord)],
        Attention = [.. message.Attention.Select(seen =>
            seen.Weights is null ? null : new TokenAttention(seen.Picture, seen.Weights.ToRecord("weights")))],
    };

    private static V1.GenerationFinished ToMessage(AnswerFinished record)
    {
        var message = new V1.GenerationFinished
        {
            Reason = (V1.FinishReason)record.Reason, PromptTokens = record.PromptTokens, GeneratedTokens = record.GeneratedTokens,
            PrefillMs = record.Timings.Prefill.TotalMilliseconds, FirstTokenMs = record.Timings.FirstToken.TotalMilliseconds,
            TotalMs = record.Timings.Total.TotalMilliseconds, WeightsDigest = record.Digests.Language, CachedTokens = record.CachedTokens,
        };
        message.Samples.AddRange(record.Samples.Select(AnswerWire.ToMessage));
        return message;
    }

    private static AnswerFinished ToRecord(V1.GenerationFinished message) =>
        AnswerFinished.OfLanguageModel(
            (FinishReason)message.Reason, message.PromptTokens, message.GeneratedTokens, TimeWire.Milliseconds(message.PrefillMs),
            TimeWire.Milliseconds(message.FirstTokenMs), TimeWire.Milliseconds(message.TotalMs), message.WeightsDigest) with
        {
            CachedTokens = message.CachedTokens,
            Samples = [.. message.Samples.Select(AnswerWire.ToRecord)],
        };
}
