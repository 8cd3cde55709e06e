using Flamingo.Abstractions;
using Flamingo.Stages;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Wire;

/// <summary>How tokens are chosen, and what is to be told of them.</summary>
public static class SamplingWire
{
    public static V1.Sampling ToMessage(this SamplingParameters record)
    {
        var message = new V1.Sampling
        {
            MaxTokens = record.MaxTokens, Temperature = record.Temperature, TopK = record.TopK, TopP = record.TopP, RepetitionPenalty = record.RepetitionPenalty,
            Samples = record.Samples, Beams = record.Beams, LengthPenalty = record.LengthPenalty,
        };
        if (record.Seed is { } seed) message.Seed = seed;
        if (record.LogProbabilities is { } most) message.LogProbabilities = most;
        message.StopStrings.AddRange(record.StopStrings);
        message.StopTokens.AddRange(record.StopTokens);
        message.AllowedTokens.AddRange(record.AllowedTokens);
        foreach (var (id, bias) in record.LogitBias) message.LogitBias.Add(id, bias);
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
            Samples = message.HasSamples ? message.Samples : defaults.Samples,
            Beams = message.HasBeams ? message.Beams : defaults.Beams,
            LengthPenalty = message.HasLengthPenalty ? message.LengthPenalty : defaults.LengthPenalty,
            LogitBias = new Dictionary<int, float>(message.LogitBias),
            AllowedTokens = [.. message.AllowedTokens],
            LogProbabilities = message.HasLogProbabilities ? message.LogProbabilities : null,
        };
    }

    public static V1.AttentionChoice ToMessage(this AttentionChoice record)
    {
        var message = new V1.AttentionChoice();
        message.Layers.AddRange(record.Layers);
        message.Heads.AddRange(record.Heads);
        return message;
    }

    public static AttentionChoice ToRecord(this V1.AttentionChoice message) => new([.. message.Layers], [.. message.Heads]);
}
