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
        select new SamplingParameters
        {
            MaxTokens = numbers.Item1, Temperature = numbers.Item2, TopK = numbers.Item3, TopP = numbers.Item4, RepetitionPenalty = numbers.Item5,
            Seed = seeded ? seed : null, StopStrings = strings, StopTokens = tokens,
        };

    public static readonly Gen<TimeSpan> Time = Gen.Long[0, 10_000_000_000].Select(TimeSpan.FromTicks);

    public static readonly Gen<StageTimings> Timings = Gen.Select(Time, Time, Time, Time, Time, Time).Select((a, b, c, d, e, f) => new StageTimings(a, b, c, d, e, f));

    public static readonly Gen<ModelDigests> Digests = Gen.Select(Text, Text, Text).Select((a, b, c) => new ModelDigests(a, b, c));

    public static readonly Gen<PictureReport> Picture = Gen.Select(Text, Gen.Enum<PictureSource>()).Select((id, source) => new PictureReport(id, source));

    public static readonly Gen<RankedCandidate> Candidate = Gen.Select(Text, Ids, Gen.Float.Array[0, 5]).Select((text, ids, values) => new RankedCandidate(text, ids, values));

    public static readonly Gen<GenerationEvent> Generation = Gen.OneOf<GenerationEvent>(
        Gen.Select(Text, Ids).Select((text, ids) => (GenerationEvent)new TokensGenerated(text, ids)),
        Gen.Select(Gen.Enum<FinishReason>(), Gen.Int, Gen.Int, Time, Time, Time, Text)
            .Select((reason, prompt, generated, prefill, first, total, digest) => (GenerationEvent)new GenerationFinished(reason, prompt, generated, prefill, first, total, digest)));

    public static readonly Gen<AnswerEvent> Answer = Gen.OneOf<AnswerEvent>(
        Gen.Select(Picture.Array[0, 3], Time, Time, Time).Select((pictures, a, b, c) => (AnswerEvent)new PicturesResolved(pictures, a, b, c)),
        Gen.Select(Text, Ids).Select((text, ids) => (AnswerEvent)new AnswerTokens(text, ids)),
        Gen.Select(Gen.Enum<FinishReason>(), Gen.Int, Gen.Int, Gen.ULong, Timings, Digests)
            .Select((reason, prompt, generated, seed, timings, digests) => (AnswerEvent)new AnswerFinished(reason, prompt, generated, seed, timings, digests)));

    public static readonly Gen<Ranking> Ranking = Gen.Select(Candidate.Array[0, 3], Gen.Int, Time, Time, Text)
        .Select((candidates, tokens, prefill, total, digest) => new Ranking(candidates, tokens, prefill, total, digest));

    public static readonly Gen<FlamingoRanking> PublicRanking = Gen.Select(Candidate.Array[0, 3], Picture.Array[0, 3], Gen.Int, Timings, Digests)
        .Select((candidates, pictures, tokens, timings, digests) => new FlamingoRanking(candidates, pictures, tokens, timings, digests));

    public static readonly Gen<FlamingoEncoding> Encoding = Gen.Select(Picture.Array[0, 3], Tensor.Array[0, 3], Timings, Digests)
        .Select((pictures, pooled, timings, digests) => new FlamingoEncoding(pictures, pooled, timings, digests));

    public static readonly Gen<StageException> Error =
        from kind in Gen.Enum<StageErrorKind>()
        from message in Text
        from faults in Gen.Select(Text, Text, Text).Select((field, problem, remedy) => new FieldFault(field, problem, remedy)).Array[0, 3]
        from missing in Text.Array[0, 3]
        from delay in Time
        from delayed in Gen.Bool
        select new StageException(kind, message) { Faults = faults, Missing = missing, RetryAfter = delayed ? delay : null };

    public static readonly VisionEncoderDescription Vision = new("flamingo-shapes", "v1", "clip-1", 32, 16, 48, 24, TensorDtype.Float32, 5_000_000_000, 20 << 20, 64);

    public static readonly ResamplerDescription Resampler = new("flamingo-shapes", "r1", 48, 8, 64, 3, TensorDtype.BFloat16, 65);

    public static readonly LanguageModelDescription Language = new("flamingo-shapes", "l1", 50_280, 2048, 8, 64, "<image>", ["<image>", "<fake>"], "<|endofchunk|>", 256);
}
