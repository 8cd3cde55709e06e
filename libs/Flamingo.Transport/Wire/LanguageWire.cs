using Flamingo.Stages;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>Prompts, sampling and events of the language model.</summary>
public static class LanguageWire
{
    public static V1.Segment ToMessage(this PromptSegment segment) => segment switch
    {
        TextSegment text => new V1.Segment { Text = text.Text },
        PictureSegment picture => new V1.Segment { Picture = new V1.KeyedPicture { Key = picture.Key, Latents = picture.Latents?.ToMessage() } },
        _ => throw new InvalidOperationException($"{segment.GetType().Name} does not travel."),
    };

    public static IReadOnlyList<PromptSegment> ToRecords(this IEnumerable<V1.Segment> messages) => [.. messages.Select((message, index) => (PromptSegment)(message.SegmentCase switch
    {
        V1.Segment.SegmentOneofCase.Text => new TextSegment(message.Text),
        V1.Segment.SegmentOneofCase.Picture => new PictureSegment(message.Picture.Key, message.Picture.Latents?.ToRecord($"segments[{index}].picture.latents")),
        _ => throw StageException.Invalid($"segments[{index}]", "The segment is empty.", "Set text or picture."),
    }))];

    public static V1.Sampling ToMessage(this SamplingParameters record)
    {
        var message = new V1.Sampling { MaxTokens = record.MaxTokens, Temperature = record.Temperature, TopK = record.TopK, TopP = record.TopP, RepetitionPenalty = record.RepetitionPenalty };
        if (record.Seed is { } seed) message.Seed = seed;
        message.StopStrings.AddRange(record.StopStrings);
        message.StopTokens.AddRange(record.StopTokens);
        return message;
    }

    /// <summary>Absent fields take the record's defaults; a 0 that was sent stays a 0 and is judged.</summary>
    public static SamplingParameters ToRecord(this V1.Sampling? message)
    {
        var defaults = new SamplingParameters();
        if (message is null) return defaults;
        return new SamplingParameters
        {
            MaxTokens = message.HasMaxTokens ? message.MaxTokens : defaults.MaxTokens,
            Temperature = message.Temperature,
            TopK = message.TopK,
            TopP = message.HasTopP ? message.TopP : defaults.TopP,
            Seed = message.HasSeed ? message.Seed : null,
            RepetitionPenalty = message.HasRepetitionPenalty ? message.RepetitionPenalty : defaults.RepetitionPenalty,
            StopStrings = [.. message.StopStrings],
            StopTokens = [.. message.StopTokens],
        };
    }

    public static V1.GenerateTokensResponse ToMessage(this GenerationEvent item) => item switch
    {
        TokensGenerated tokens => new V1.GenerateTokensResponse { Tokens = Tokens(tokens.Text, tokens.Ids) },
        GenerationFinished end => new V1.GenerateTokensResponse
        {
            Finished = new V1.GenerationFinished
            {
                Reason = (V1.FinishReason)end.Reason, PromptTokens = end.PromptTokens, GeneratedTokens = end.GeneratedTokens,
                PrefillMs = end.Prefill.TotalMilliseconds, FirstTokenMs = end.FirstToken.TotalMilliseconds, TotalMs = end.Total.TotalMilliseconds, WeightsDigest = end.WeightsDigest,
            },
        },
        _ => throw new InvalidOperationException($"{item.GetType().Name} does not travel."),
    };

    public static GenerationEvent ToRecord(this V1.GenerateTokensResponse message) => message.EventCase switch
    {
        V1.GenerateTokensResponse.EventOneofCase.Tokens => new TokensGenerated(message.Tokens.Text, [.. message.Tokens.Ids]),
        V1.GenerateTokensResponse.EventOneofCase.Finished => new GenerationFinished(
            (FinishReason)message.Finished.Reason, message.Finished.PromptTokens, message.Finished.GeneratedTokens, Milliseconds(message.Finished.PrefillMs),
            Milliseconds(message.Finished.FirstTokenMs), Milliseconds(message.Finished.TotalMs), message.Finished.WeightsDigest),
        _ => throw new StageException(StageErrorKind.Internal, "The language model sent an empty event."),
    };

    public static V1.RankCandidatesResponse ToMessage(this Ranking record)
    {
        var message = new V1.RankCandidatesResponse { PromptTokens = record.PromptTokens, PrefillMs = record.Prefill.TotalMilliseconds, TotalMs = record.Total.TotalMilliseconds, WeightsDigest = record.WeightsDigest };
        message.Candidates.AddRange(record.Candidates.Select(ToMessage));
        return message;
    }

    public static Ranking ToRecord(this V1.RankCandidatesResponse message) =>
        new([.. message.Candidates.Select(ToRecord)], message.PromptTokens, Milliseconds(message.PrefillMs), Milliseconds(message.TotalMs), message.WeightsDigest);

    public static V1.RankedCandidate ToMessage(this RankedCandidate record)
    {
        var message = new V1.RankedCandidate { Text = record.Text };
        message.Ids.AddRange(record.Ids);
        message.TokenLogLikelihoods.AddRange(record.TokenLogLikelihoods);
        return message;
    }

    public static RankedCandidate ToRecord(this V1.RankedCandidate message) => new(message.Text, [.. message.Ids], [.. message.TokenLogLikelihoods]);

    internal static V1.TokensGenerated Tokens(string text, IReadOnlyList<int> ids)
    {
        var message = new V1.TokensGenerated { Text = text };
        message.Ids.AddRange(ids);
        return message;
    }

    internal static TimeSpan Milliseconds(double value) => TimeSpan.FromTicks((long)Math.Round(value * TimeSpan.TicksPerMillisecond));
}
