using CsCheck;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Testing;

/// <summary>Creates random records of every type that is sent over gRPC, including small and unusual ones.</summary>
public static class Records
{
    public const string Tenant = "tenant-1";

    private static readonly string[] OddTexts = ["", "é", "日本", "<|endofchunk|>", "a\nb\0c", "🦩"];

    public static readonly Gen<string> Text =
        Gen.OneOf(Gen.String[Gen.Char.AlphaNumeric, 0, 8], Gen.Int[0, OddTexts.Length - 1].Select(index => OddTexts[index]));

    public static readonly Gen<int[]> Ids = Gen.Int[0, 100_000].Array[0, 6];

    public static readonly Gen<TensorData> Tensor =
        from dtype in Gen.Enum<TensorDtype>()
        from shape in Gen.Int[1, 4].Array[0, 4]
        from bytes in Gen.Byte.Array[shape.Aggregate(TensorData.ElementSize(dtype), (product, length) => product * length)]
        select new TensorData(dtype, [.. shape], bytes);

    public static readonly Gen<PromptSegment> Segment = Gen.OneOf<PromptSegment>(
        Text.Select(text => (PromptSegment)new TextSegment(text)),
        Gen.Select(Text, Tensor.Null())
            .Select((key, tensor) => (PromptSegment)new PictureSegment(key, tensor is null ? null : ChecksummedLatents.Of(tensor))),
        Gen.Select(Text, Gen.Byte.Array[0, 33])
            .Select((key, checksum) => (PromptSegment)new PictureSegment(key, null) { Checksum = checksum }));

    private static readonly Gen<ReadOnlyMemory<byte>> File = Gen.Byte.Array[0, 40].Select(bytes => (ReadOnlyMemory<byte>)bytes);

    public static readonly Gen<VisualInput> Visual =
        Gen.Select(File.Array[0, 3], Gen.Int[-1, 40]).Select((files, most) => new VisualInput(files, most));

    public static readonly Gen<FlamingoVisual> PublicVisual = Gen.OneOf<FlamingoVisual>(
        File.Select(bytes => (FlamingoVisual)new FlamingoPicture(bytes)),
        Visual.Select(input => (FlamingoVisual)new FlamingoVideo(input)),
        Text.Select(id => (FlamingoVisual)new FlamingoPictureId(id)));

    public static readonly Gen<FlamingoSegment> PublicSegment = Gen.OneOf<FlamingoSegment>(
        Text.Select(text => (FlamingoSegment)new FlamingoText(text)), PublicVisual.Select(visual => (FlamingoSegment)visual));

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
        from penalties in Gen.Select(Gen.Float[-3, 3], Gen.Float[-3, 3], Gen.Float[-1, 2], Gen.Int[-1, 100], Gen.Int[-1, 100])
        select new SamplingParameters
        {
            MaxTokens = numbers.Item1, Temperature = numbers.Item2, TopK = numbers.Item3, TopP = numbers.Item4,
            RepetitionPenalty = numbers.Item5,
            Seed = seeded ? seed : null, StopStrings = strings, StopTokens = tokens,
            Samples = several.Item1, Beams = several.Item2, LengthPenalty = several.Item3,
            LogitBias = new SortedDictionary<int, float>(bias), AllowedTokens = allowed,
            LogProbabilities = most < 0 ? null : most,
            FrequencyPenalty = penalties.Item1, PresencePenalty = penalties.Item2, MinP = penalties.Item3,
            NoRepeatNgramSize = penalties.Item4, MinTokens = penalties.Item5,
        };

    public static readonly Gen<TimeSpan> Time = Gen.Long[0, 10_000_000_000].Select(TimeSpan.FromTicks);

    public static readonly Gen<StageTimings> Timings =
        Gen.Select(Time, Time, Time, Time, Time, Time).Select((a, b, c, d, e, f) => new StageTimings(a, b, c, d, e, f));

    public static readonly Gen<ModelDigests> Digests = Gen.Select(Text, Text, Text).Select((a, b, c) => new ModelDigests(a, b, c));

    public static readonly Gen<PictureReport> Picture =
        Gen.Select(Text, Gen.Enum<PictureSource>(), Time).Select((id, source, cost) => new PictureReport(id, source) { Cost = cost });

    public static readonly Gen<CacheUse> Cache =
        Gen.Select(Gen.Int, Gen.Int, Gen.Int, Gen.Int, Time)
            .Select((memory, redis, encoded, waits, saved) => new CacheUse(memory, redis, encoded, waits, saved));

    public static readonly Gen<SelectedShots> Shots =
        Gen.Select(Text, Gen.Long, Ids).Select((name, version, examples) => new SelectedShots(name, version, examples));

    public static readonly Gen<SupportSetChoice> SetChoice = Gen.Select(Text, Gen.Enum<ShotSelection>(), Gen.Int, Gen.ULong, Gen.Long)
        .Select((name, selection, count, seed, version) => new SupportSetChoice(name, selection, count, seed, version));

    public static readonly Gen<Ensemble> Ensembles =
        Gen.Select(Gen.Int, Gen.ULong).Select((permutations, seed) => new Ensemble(permutations, seed));

    public static readonly Gen<RankedCandidate> Candidate =
        Gen.Select(Text, Ids, Gen.Float.Array[0, 5]).Select((text, ids, values) => new RankedCandidate(text, ids, values));

    private static readonly Gen<TimeSpan?> Pin = Gen.Select(Time, Gen.Bool).Select((time, given) => given ? time : (TimeSpan?)null);

    private static readonly Gen<AttentionChoice?> Choice =
        Gen.Select(Ids, Ids).Select((layers, heads) => new AttentionChoice(layers, heads)).Null();

    private static readonly Gen<TokenLogProbability> LogProbability =
        Gen.Select(Gen.Int, Gen.Float, Gen.Select(Gen.Int, Gen.Float).Array[0, 3])
        .Select((id, value, top) => new TokenLogProbability(id, value, [.. top.Select(item => (item.Item1, item.Item2))])
        {
            Texts = [new byte[] { (byte)id }, .. top.Select(item => (ReadOnlyMemory<byte>)BitConverter.GetBytes(item.Item1))],
        });

    private static readonly Gen<FinishedSample> Sample = Gen.Select(Gen.Enum<FinishReason>(), Gen.Int, Gen.Double, Gen.Bool)
        .Select((reason, tokens, score, scored) => new FinishedSample(reason, tokens, scored ? score : null));

    public static readonly Gen<LanguageModelRequest> LanguageRequest = Gen.Select(Segment.Array[0, 5], Sampling, Text, Pin, Choice)
        .Select((segments, sampling, tenant, pin, attention) =>
            new LanguageModelRequest(segments, sampling) { Tenant = tenant, PinPrefix = pin, Attention = attention });

    public static readonly Gen<RankRequest> RankRequest = Gen.Select(Segment.Array[0, 5], Text.Array[0, 3], Text, Pin)
        .Select((segments, candidates, tenant, pin) => new RankRequest(segments, candidates) { Tenant = tenant, PinPrefix = pin });

    /// <summary>The tenant is not random, because it is sent as metadata and not in the message.</summary>
    public static readonly Gen<FlamingoRequest> PublicRequest =
        Gen.Select(PublicSegment.Array[0, 5], Sampling, Pin, Choice, SetChoice.Null())
        .Select((segments, sampling, pin, attention, set) =>
            new FlamingoRequest(segments, sampling) { Tenant = Tenant, PinPrefix = pin, Attention = attention, SupportSet = set });

    public static readonly Gen<FlamingoRankRequest> PublicRankRequest =
        Gen.Select(PublicSegment.Array[0, 5], Text.Array[0, 3], Pin, SetChoice.Null(), Ensembles.Null())
        .Select((segments, candidates, pin, set, ensemble) =>
            new FlamingoRankRequest(segments, candidates) { Tenant = Tenant, PinPrefix = pin, SupportSet = set, Ensemble = ensemble });

    public static readonly Gen<FlamingoEncodeRequest> EncodeRequest = Gen.Select(PublicVisual.Array[0, 4], Gen.Bool)
        .Select((pictures, pooled) => new FlamingoEncodeRequest(pictures, pooled) { Tenant = Tenant });

    public static readonly Gen<PutSupportSet> PutSet =
        from name in Text
        from examples in Gen.Select(PublicVisual.Where(visual => visual is not FlamingoPictureId), Text)
            .Select((visual, text) => new SupportExample(visual, text)).Array[0, 4]
        from life in Pin
        from version in Gen.Long
        from expected in Gen.Bool
        select new PutSupportSet(name, examples, life, expected ? version : null) { Tenant = Tenant };

    private static readonly Gen<DateTimeOffset> Moment = Gen.Long[0, 4_000_000_000_000].Select(DateTimeOffset.FromUnixTimeMilliseconds);

    public static readonly Gen<SupportSet> Set =
        Gen.Select(Text, Gen.Long, Moment, Gen.Select(Moment, Gen.Bool), Gen.Int,
            Gen.Select(Text, Text).Select((id, text) => new StoredExample(id, text)).Array[0, 4])
        .Select((name, version, created, expires, count, examples) =>
            new SupportSet(name, version, created, expires.Item2 ? expires.Item1 : null, count, examples));

    public static readonly Gen<CacheStatistics> Statistics =
        from memory in Gen.Select(Gen.Long, Gen.Long, Gen.Long, Gen.Long, Gen.Long, Gen.Select(Gen.Long, Gen.Long))
            .Select((entries, bytes, most, hits, misses, left) =>
                new MemoryTierStatistics(entries, bytes, most, hits, misses, left.Item1, left.Item2))
        from redis in Gen.Select(Gen.Bool, Gen.Long, Gen.Long, Gen.Long, Gen.Long, Gen.Select(Gen.Long, Gen.Long))
            .Select((there, hits, misses, failures, corrupt, bytes) =>
                new RedisTierStatistics(there, hits, misses, failures, corrupt, bytes.Item1, bytes.Item2)).Null()
        from counts in Gen.Select(Gen.Long, Gen.Long, Gen.Long, Time)
        select new CacheStatistics(memory, redis, counts.Item1, counts.Item2, counts.Item3, counts.Item4);

    public static readonly Gen<VisionEncodeRequest> VisionRequest =
        Gen.Select(Visual.Array[0, 4], Gen.Bool).Select((pictures, pooled) => new VisionEncodeRequest(pictures, pooled));

    public static readonly Gen<VisionEncoding> VisionEncoding =
        Gen.Select(Text, Gen.Select(Tensor, Tensor.Null()).Select((features, pooled) => new PictureFeatures(features, pooled)).Array[0, 3])
        .Select((digest, pictures) => new VisionEncoding(digest, pictures));

    public static readonly Gen<VisionEncoderStatistics> VisionStatistics =
        Gen.Select(Gen.Long, Gen.Long, Gen.Long)
            .Select((pictures, frames, batches) => new VisionEncoderStatistics(pictures, frames, batches));

    public static readonly Gen<ResampleRequest> ResampleRequest =
        Gen.Select(Tensor.Array[0, 3], Gen.Bool).Select((features, attention) => new ResampleRequest(features, attention));

    public static readonly Gen<Resampling> Resampling =
        Gen.Select(Text, Tensor.Array[0, 3], Tensor.Array[0, 3])
            .Select((digest, latents, attention) => new Resampling(digest, latents, attention));

    /// <summary>Events that a language model stage sends.</summary>
    public static readonly Gen<AnswerEvent> Generation = Gen.OneOf<AnswerEvent>(
        Tokens(Gen.Select(Gen.Int, Tensor).Select((picture, weights) => new TokenAttention(picture, weights))),
        from end in Gen.Select(Gen.Enum<FinishReason>(), Gen.Int, Gen.Int, Time, Time, Time, Text)
        from cached in Gen.Int
        from samples in Sample.Array[0, 3]
        select (AnswerEvent)(AnswerFinished.OfLanguageModel(end.Item1, end.Item2, end.Item3, end.Item4, end.Item5, end.Item6, end.Item7)
            with { CachedTokens = cached, Samples = samples }));

    /// <summary>Events that a gateway sends.</summary>
    public static readonly Gen<AnswerEvent> Answer = Gen.OneOf<AnswerEvent>(
        Gen.Select(Picture.Array[0, 3], Time, Time, Time, Cache, Shots.Null()).Select((pictures, lookup, vision, resample, cache, shots) =>
            (AnswerEvent)new PicturesResolved(pictures, lookup, vision, resample) { Cache = cache, Shots = shots }),
        Tokens(Gen.Select(Gen.Int, Tensor, Tensor).Select((picture, weights, map) => new TokenAttention(picture, weights) { Map = map })),
        from end in Gen.Select(Gen.Enum<FinishReason>(), Gen.Int, Gen.Int, Gen.ULong, Timings, Digests)
        from cached in Gen.Int
        from samples in Sample.Array[0, 3]
        select (AnswerEvent)new AnswerFinished(end.Item1, end.Item2, end.Item3, end.Item4, end.Item5, end.Item6)
        {
            CachedTokens = cached, Samples = samples,
        });

    public static readonly Gen<Ranking> Ranking = Gen.Select(Candidate.Array[0, 3], Gen.Int, Time, Time, Text, Gen.Int)
        .Select((candidates, tokens, prefill, total, digest, cached) =>
            new Ranking(candidates, tokens, prefill, total, digest) { CachedTokens = cached });

    public static readonly Gen<FlamingoRanking> PublicRanking =
        Gen.Select(Candidate.Array[0, 3], Picture.Array[0, 3], Gen.Select(Gen.Int, Gen.Int), Timings, Digests,
            Gen.Select(Cache, Shots.Null()))
        .Select((candidates, pictures, tokens, timings, digests, drawn) =>
            new FlamingoRanking(candidates, pictures, tokens.Item1, timings,
                digests) { CachedTokens = tokens.Item2, Cache = drawn.Item1, Shots = drawn.Item2 });

    public static readonly Gen<FlamingoEncoding> Encoding = Gen.Select(Picture.Array[0, 3], Tensor.Array[0, 3], Timings, Digests, Cache)
        .Select((pictures, pooled, timings, digests, cache) => new FlamingoEncoding(pictures, pooled, timings, digests) { Cache = cache });

    public static readonly Gen<TaskPrompt> TaskPrompts =
        from visual in PublicVisual
        from examples in Gen.Select(PublicVisual.Null(), Text, Text)
            .Select((shown, question, answer) => new TaskExample(shown, question, answer)).Array[0, 3]
        from set in SetChoice.Null()
        from zeroShot in Gen.Int[0, 2]
        from pin in Pin
        select new TaskPrompt(visual) { Tenant = Tenant, Examples = examples, SupportSet = set,
            ZeroShot = zeroShot == 2 ? null : zeroShot == 1, PinPrefix = pin };

    public static readonly Gen<CaptionTask> Caption =
        Gen.Select(TaskPrompts, Sampling).Select((prompt, sampling) => new CaptionTask(prompt, sampling));

    public static readonly Gen<AnswerTask> Question =
        Gen.Select(TaskPrompts, Text, Sampling).Select((prompt, question, sampling) => new AnswerTask(prompt, question, sampling));

    public static readonly Gen<ClassifyTask> Classify =
        Gen.Select(TaskPrompts, Text.Array[0, 4], Gen.Enum<LabelScoring>(), Ensembles.Null())
        .Select((prompt, labels, scoring, ensemble) => new ClassifyTask(prompt, labels) { Scoring = scoring, Ensemble = ensemble });

    public static readonly Gen<ChatTask> Chat =
        from turns in Gen.Select(PublicVisual.Array[0, 3], Text, Text.Null())
            .Select((visuals, words, reply) => new ChatTurn(visuals, words, reply)).Array[0, 4]
        from sampling in Sampling
        from pin in Pin
        from attention in Choice
        select new ChatTask(turns, sampling) { Tenant = Tenant, PinPrefix = pin, Attention = attention };

    public static readonly Gen<TaskAnswer> TaskAnswers =
        Gen.Select(Text, Ids, Answer.Where(item => item is PicturesResolved), Answer.Where(item => item is AnswerFinished))
        .Select((text, ids, pictures, finished) => new TaskAnswer(text, ids, (PicturesResolved)pictures, (AnswerFinished)finished));

    public static readonly Gen<Classification> Classifications =
        Gen.Select(Gen.Select(Text, Gen.Int, Gen.Double).Select((label, index, score) => new ScoredLabel(label, index, score)).Array[0, 4],
            PublicRanking)
        .Select((labels, ranking) => new Classification(labels, ranking));

    public static readonly Gen<FlamingoException> Error =
        from kind in Gen.Enum<FlamingoErrorKind>()
        from message in Text
        from faults in Gen.Select(Text, Text, Text.Where(text => !text.Contains('\n')))
            .Select((field, problem, remedy) => new FieldFault(field, problem, remedy)).Array[0, 3]
        from missing in Text.Array[0, 3]
        from delay in Time
        from delayed in Gen.Bool
        from set in Gen.Bool
        select new FlamingoException(kind,
            message) { Faults = faults, Missing = missing,
                MissingResource = set && missing.Length > 0 ? FlamingoException.SupportSet : FlamingoException.Picture,
                RetryAfter = delayed ? delay : null };

    public static readonly VisionEncoderDescription Vision = new(
        "flamingo-shapes", "v1", "clip-1", 32, 16, 48, 24, TensorDtype.Float32, 5_000_000_000, 20 << 20, 64, MaxFrames: 32)
    {
        Resize = "square", Alpha = "white", Orientation = "ignore",
    };

    public static readonly ResamplerDescription Resampler = new("flamingo-shapes", "r1", 48, 8, 64, 3, TensorDtype.BFloat16, 65);

    public static readonly LanguageModelDescription Language =
        new("flamingo-shapes", "l1", 50_280, 2048, 8, 64, "<image>", ["<image>", "<fake>"], "<|endofchunk|>", 256)
    {
        CrossAttentionLayers = 24, CrossAttentionHeads = 8, MaxSamples = 16, MaxPin = TimeSpan.FromHours(1.5),
        SpecialTokens = ["<image>", "</s>"],
        Prompts = new()
        {
            Caption = new("{picture}Output:{answer}<|endofchunk|>") { ZeroShot = [new("", "a dog")], CutAt = ["Output", "\n"] },
            Answer = new("{picture}{question} {answer}.") { ZeroShot = [new("why?", "so"), new("who?", "me")] },
            Chat = new("User:{picture}{question}\nAssistant: {answer}\n"),
        },
    };

    private static Gen<AnswerEvent> Tokens(Gen<TokenAttention> attention) =>
        Gen.Select(Text, Ids, Gen.Int, LogProbability.Array[0, 3], attention.Null().Array[0, 3]).Select((text, ids, sample, logs, seen) =>
            (AnswerEvent)new AnswerTokens(text, ids) { Sample = sample, LogProbabilities = logs, Attention = seen });
}
