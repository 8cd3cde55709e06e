using CsCheck;
using Flamingo.Stages;

namespace Flamingo.Transport.Tests;

/// <summary>Random records of every kind that travels, small and odd ones included.</summary>
internal static class Records
{
    private static readonly string[] OddTexts = ["", "é", "日本", "<|endofchunk|>", "a\nb\0c", "🦩"];

    public static readonly Gen<string> Text = Gen.OneOf(Gen.String[Gen.Char.AlphaNumeric, 0, 8], Gen.Int[0, OddTexts.Length - 1].Select(index => OddTexts[index]));

    public static readonly Gen<int[]> Ids = Gen.Int[0, 100_000].Array[0, 6];

    public static readonly Gen<TensorData> Tensor =
        from dtype in Gen.Enum<TensorDtype>()
        from shape in Gen.Int[1, 4].Array[0, 4]
        from bytes in Gen.Byte.Array[shape.Aggregate(TensorData.ElementSize(dtype), (product, length) => product * length)]
        select new TensorData(dtype, [.. shape], bytes);

    public static readonly Gen<PromptSegment> Segment = Gen.OneOf<PromptSegment>(
        Text.Select(text => (PromptSegment)new TextSegment(text)),
        Gen.Select(Text, Tensor.Null()).Select((key, tensor) => (PromptSegment)new PictureSegment(key, tensor is null ? null : ChecksummedLatents.Of(tensor))));

    public static readonly Gen<FlamingoSegment> PublicSegment = Gen.OneOf<FlamingoSegment>(
        Text.Select(text => (FlamingoSegment)new FlamingoText(text)),
        Gen.Byte.Array[0, 40].Select(bytes => (FlamingoSegment)new FlamingoPicture(bytes)),
        Text.Select(id => (FlamingoSegment)new FlamingoPictureId(id)));

    public static readonly Gen<SamplingParameters> Sampling =
        from numbers in Gen.Select(Gen.Int[-1, 5000], Gen.Float[-1, 3], Gen.Int[-1, 100], Gen.Float[-1, 2], Gen.Float[0, 10])
        from seed in Gen.ULong
        from seeded in Gen.Bool
        from strings in Text.Array[0, 3]
        from tokens in Ids
        from several in Gen.Select(Gen.Int[-1, 20], Gen.Int[-1, 20], Gen.Float[-6, 6])
        from bias in Gen.Dictionary(Gen.Int[0, 100_000], Gen.Float[-101, 101])[0, 4]
        from allowed in Ids
        from most in Gen.Int[-1, 30]
        select new SamplingParameters
        {
            MaxTokens = numbers.Item1, Temperature = numbers.Item2, TopK = numbers.Item3, TopP = numbers.Item4, RepetitionPenalty = numbers.Item5,
            Seed = seeded ? seed : null, StopStrings = strings, StopTokens = tokens,
            Samples = several.Item1, Beams = several.Item2, LengthPenalty = several.Item3, LogitBias = new SortedDictionary<int, float>(bias), AllowedTokens = allowed,
            LogProbabilities = most < 0 ? null : most,
        };

    public static readonly Gen<TimeSpan> Time = Gen.Long[0, 10_000_000_000].Select(TimeSpan.FromTicks);

    public static readonly Gen<StageTimings> Timings = Gen.Select(Time, Time, Time, Time, Time, Time).Select((a, b, c, d, e, f) => new StageTimings(a, b, c, d, e, f));

    public static readonly Gen<ModelDigests> Digests = Gen.Select(Text, Text, Text).Select((a, b, c) => new ModelDigests(a, b, c));

    public static readonly Gen<PictureReport> Picture = Gen.Select(Text, Gen.Enum<PictureSource>()).Select((id, source) => new PictureReport(id, source));

    public static readonly Gen<RankedCandidate> Candidate = Gen.Select(Text, Ids, Gen.Float.Array[0, 5]).Select((text, ids, values) => new RankedCandidate(text, ids, values));

    private static readonly Gen<TimeSpan?> Pin = Gen.Select(Time, Gen.Bool).Select((time, given) => given ? time : (TimeSpan?)null);

    private static readonly Gen<AttentionChoice?> Choice = Gen.Select(Ids, Ids).Select((layers, heads) => new AttentionChoice(layers, heads)).Null();

    private static readonly Gen<TokenLogProbability> LogProbability = Gen.Select(Gen.Int, Gen.Float, Gen.Select(Gen.Int, Gen.Float).Array[0, 3])
        .Select((id, value, top) => new TokenLogProbability(id, value, [.. top.Select(item => (item.Item1, item.Item2))]));

    private static readonly Gen<FinishedSample> Sample = Gen.Select(Gen.Enum<FinishReason>(), Gen.Int, Gen.Double, Gen.Bool)
        .Select((reason, tokens, score, scored) => new FinishedSample(reason, tokens, scored ? score : null));

    public static readonly Gen<LanguageModelRequest> LanguageRequest = Gen.Select(Segment.Array[0, 5], Sampling, Text, Pin, Choice)
        .Select((segments, sampling, tenant, pin, attention) => new LanguageModelRequest(segments, sampling) { Tenant = tenant, PinPrefix = pin, Attention = attention });

    public static readonly Gen<RankRequest> RankRequest = Gen.Select(Segment.Array[0, 5], Text.Array[0, 3], Text, Pin)
        .Select((segments, candidates, tenant, pin) => new RankRequest(segments, candidates) { Tenant = tenant, PinPrefix = pin });

    public static readonly Gen<FlamingoRequest> PublicRequest = Gen.Select(PublicSegment.Array[0, 5], Sampling, Pin, Choice)
        .Select((segments, sampling, pin, attention) => new FlamingoRequest(segments, sampling) { PinPrefix = pin, Attention = attention });

    public static readonly Gen<FlamingoRankRequest> PublicRankRequest = Gen.Select(PublicSegment.Array[0, 5], Text.Array[0, 3], Pin)
        .Select((segments, candidates, pin) => new FlamingoRankRequest(segments, candidates) { PinPrefix = pin });

    public static readonly Gen<ResampleRequest> ResampleRequest = Gen.Select(Tensor.Array[0, 3], Gen.Bool).Select((features, attention) => new ResampleRequest(features, attention));

    public static readonly Gen<Resampling> Resampling = Gen.Select(Text, Tensor.Array[0, 3], Tensor.Array[0, 3]).Select((digest, latents, attention) => new Resampling(digest, latents, attention));

    public static readonly Gen<GenerationEvent> Generation = Gen.OneOf<GenerationEvent>(
        Gen.Select(Text, Ids, Gen.Int, LogProbability.Array[0, 3], Gen.Select(Gen.Int, Tensor).Select((picture, weights) => new TokenAttention(picture, weights)).Null().Array[0, 3])
            .Select((text, ids, sample, logs, attention) => (GenerationEvent)new TokensGenerated(text, ids) { Sample = sample, LogProbabilities = logs, Attention = attention }),
        from end in Gen.Select(Gen.Enum<FinishReason>(), Gen.Int, Gen.Int, Time, Time, Time, Text)
        from cached in Gen.Int
        from samples in Sample.Array[0, 3]
        select (GenerationEvent)new GenerationFinished(end.Item1, end.Item2, end.Item3, end.Item4, end.Item5, end.Item6, end.Item7) { CachedTokens = cached, Samples = samples });

    public static readonly Gen<AnswerEvent> Answer = Gen.OneOf<AnswerEvent>(
        Gen.Select(Picture.Array[0, 3], Time, Time, Time).Select((pictures, a, b, c) => (AnswerEvent)new PicturesResolved(pictures, a, b, c)),
        Gen.Select(Text, Ids, Gen.Int, LogProbability.Array[0, 3], Gen.Select(Gen.Int, Tensor, Tensor).Select((picture, weights, map) => new AttentionMap(picture, weights, map)).Null().Array[0, 3])
            .Select((text, ids, sample, logs, attention) => (AnswerEvent)new AnswerTokens(text, ids) { Sample = sample, LogProbabilities = logs, Attention = attention }),
        from end in Gen.Select(Gen.Enum<FinishReason>(), Gen.Int, Gen.Int, Gen.ULong, Timings, Digests)
        from cached in Gen.Int
        from samples in Sample.Array[0, 3]
        select (AnswerEvent)new AnswerFinished(end.Item1, end.Item2, end.Item3, end.Item4, end.Item5, end.Item6) { CachedTokens = cached, Samples = samples });

    public static readonly Gen<Ranking> Ranking = Gen.Select(Candidate.Array[0, 3], Gen.Int, Time, Time, Text, Gen.Int)
        .Select((candidates, tokens, prefill, total, digest, cached) => new Ranking(candidates, tokens, prefill, total, digest) { CachedTokens = cached });

    public static readonly Gen<FlamingoRanking> PublicRanking = Gen.Select(Candidate.Array[0, 3], Picture.Array[0, 3], Gen.Int, Timings, Digests, Gen.Int)
        .Select((candidates, pictures, tokens, timings, digests, cached) => new FlamingoRanking(candidates, pictures, tokens, timings, digests) { CachedTokens = cached });

    public static readonly Gen<FlamingoEncoding> Encoding = Gen.Select(Picture.Array[0, 3], Tensor.Array[0, 3], Timings, Digests)
        .Select((pictures, pooled, timings, digests) => new FlamingoEncoding(pictures, pooled, timings, digests));

    public static readonly Gen<StageException> Error =
        from kind in Gen.Enum<StageErrorKind>()
        from message in Text
        from faults in Gen.Select(Text, Text, Text.Where(text => !text.Contains('\n'))).Select((field, problem, remedy) => new FieldFault(field, problem, remedy)).Array[0, 3]
        from missing in Text.Array[0, 3]
        from delay in Time
        from delayed in Gen.Bool
        select new StageException(kind, message) { Faults = faults, Missing = missing, RetryAfter = delayed ? delay : null };

    public static readonly VisionEncoderDescription Vision = new("flamingo-shapes", "v1", "clip-1", 32, 16, 48, 24, TensorDtype.Float32, 5_000_000_000, 20 << 20, 64);

    public static readonly ResamplerDescription Resampler = new("flamingo-shapes", "r1", 48, 8, 64, 3, TensorDtype.BFloat16, 65);

    public static readonly LanguageModelDescription Language = new("flamingo-shapes", "l1", 50_280, 2048, 8, 64, "<image>", ["<image>", "<fake>"], "<|endofchunk|>", 256)
    {
        CrossAttentionLayers = 24, CrossAttentionHeads = 8, MaxSamples = 16, MaxPin = TimeSpan.FromHours(1.5),
    };
}
