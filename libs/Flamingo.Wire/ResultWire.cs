using Flamingo.Abstractions;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>Converts the public service's rankings and encodings, and the picture reports, times and digests of all results.</summary>
public static class ResultWire
{
    public static V1.RankResponse ToMessage(this FlamingoRanking record)
    {
        var message = new V1.RankResponse
        {
            PromptTokens = record.PromptTokens, Timings = record.Timings.ToMessage(), Digests = record.Digests.ToMessage(),
            CachedTokens = record.CachedTokens, Cache = record.Cache.ToMessage(), Shots = record.Shots?.ToMessage(),
        };
        message.Candidates.AddRange(record.Candidates.Select(ToMessage));
        message.Pictures.AddRange(record.Pictures.Select(ToMessage));
        return message;
    }

    public static FlamingoRanking ToRecord(this V1.RankResponse message) => new(
        [.. message.Candidates.Select(ToRecord)], [.. message.Pictures.Select(ToRecord)], message.PromptTokens,
        message.Timings.ToRecord(), message.Digests.ToRecord())
    {
        CachedTokens = message.CachedTokens, Cache = message.Cache.ToRecord(), Shots = message.Shots?.ToRecord(),
    };

    public static V1.RankedCandidate ToMessage(this RankedCandidate record)
    {
        var message = new V1.RankedCandidate { Text = record.Text };
        message.Ids.AddRange(record.Ids);
        message.TokenLogLikelihoods.AddRange(record.TokenLogLikelihoods);
        return message;
    }

    public static RankedCandidate ToRecord(this V1.RankedCandidate message) =>
        new(message.Text, [.. message.Ids], [.. message.TokenLogLikelihoods]);

    public static V1.EncodeResponse ToMessage(this FlamingoEncoding record)
    {
        var message = new V1.EncodeResponse
        {
            Timings = record.Timings.ToMessage(), Digests = record.Digests.ToMessage(), Cache = record.Cache.ToMessage(),
        };
        message.Pictures.AddRange(record.Pictures.Select(ToMessage));
        message.Pooled.AddRange(record.Pooled.Select(TensorWire.ToMessage));
        return message;
    }

    public static FlamingoEncoding ToRecord(this V1.EncodeResponse message) => new(
        [.. message.Pictures.Select(ToRecord)], message.Pooled.ToRecords("pooled"), message.Timings.ToRecord(),
        message.Digests.ToRecord())
    {
        Cache = message.Cache.ToRecord(),
    };

    internal static V1.PictureReport ToMessage(PictureReport record) =>
        new() { Id = record.Id, Source = (V1.PictureSource)record.Source, CostMs = record.Cost.TotalMilliseconds };

    internal static PictureReport ToRecord(V1.PictureReport message) =>
        new(message.Id, (PictureSource)message.Source) { Cost = TimeWire.Milliseconds(message.CostMs) };

    internal static V1.StageTimings ToMessage(this StageTimings record) => new()
    {
        LookupMs = record.Lookup.TotalMilliseconds, VisionMs = record.Vision.TotalMilliseconds,
        ResampleMs = record.Resample.TotalMilliseconds, PrefillMs = record.Prefill.TotalMilliseconds,
        FirstTokenMs = record.FirstToken.TotalMilliseconds, TotalMs = record.Total.TotalMilliseconds,
    };

    internal static StageTimings ToRecord(this V1.StageTimings message) => new(
        TimeWire.Milliseconds(message.LookupMs), TimeWire.Milliseconds(message.VisionMs), TimeWire.Milliseconds(message.ResampleMs),
        TimeWire.Milliseconds(message.PrefillMs), TimeWire.Milliseconds(message.FirstTokenMs), TimeWire.Milliseconds(message.TotalMs));

    internal static V1.ModelDigests ToMessage(this ModelDigests record) =>
        new() { Vision = record.Vision, Resampler = record.Resampler, Language = record.Language };

    internal static ModelDigests ToRecord(this V1.ModelDigests message) => new(message.Vision, message.Resampler, message.Language);
}
