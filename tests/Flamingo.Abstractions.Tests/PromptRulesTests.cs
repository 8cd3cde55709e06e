using System.Globalization;

namespace Flamingo.Abstractions.Tests;

public sealed class PromptRulesTests
{
    private static readonly LanguageModelDescription Model =
        new("test", "digest", VocabularySize: 512, ContextLength: 64, Latents: 4, LatentWidth: 8, "<image>", ["<image>", "<fake>"],
            "<|endofchunk|>", MaxCandidates: 3)
        {
            CrossAttentionLayers = 2, CrossAttentionHeads = 4, MaxSamples = 8, MaxPin = TimeSpan.FromMinutes(10),
        };

    private static IReadOnlyDictionary<int, float> Bias(int first, int count = 1, float value = 1) =>
        Enumerable.Range(first, count).ToDictionary(id => id, _ => value);

    public static TheoryData<string, SamplingParameters> OutOfRange => new()
    {
        { "sampling.max_tokens", new() { MaxTokens = 0 } },
        { "sampling.max_tokens", new() { MaxTokens = -1 } },
        { "sampling.max_tokens", new() { MaxTokens = 65 } },
        { "sampling.temperature", new() { Temperature = -0.01f } },
        { "sampling.temperature", new() { Temperature = 2.01f } },
        { "sampling.temperature", new() { Temperature = float.NaN } },
        { "sampling.temperature", new() { Temperature = float.PositiveInfinity } },
        { "sampling.top_k", new() { TopK = -1 } },
        { "sampling.top_k", new() { TopK = 513 } },
        { "sampling.top_p", new() { TopP = 0 } },
        { "sampling.top_p", new() { TopP = 1.01f } },
        { "sampling.top_p", new() { TopP = float.NaN } },
        { "sampling.repetition_penalty", new() { RepetitionPenalty = 0 } },
        { "sampling.repetition_penalty", new() { RepetitionPenalty = 10.1f } },
        { "sampling.repetition_penalty", new() { RepetitionPenalty = float.NaN } },
        { "sampling.frequency_penalty", new() { FrequencyPenalty = -2.01f } },
        { "sampling.frequency_penalty", new() { FrequencyPenalty = 2.01f } },
        { "sampling.frequency_penalty", new() { FrequencyPenalty = float.NaN } },
        { "sampling.presence_penalty", new() { PresencePenalty = -2.01f } },
        { "sampling.presence_penalty", new() { PresencePenalty = 2.01f } },
        { "sampling.presence_penalty", new() { PresencePenalty = float.NegativeInfinity } },
        { "sampling.min_p", new() { MinP = -0.01f } },
        { "sampling.min_p", new() { MinP = 1.01f } },
        { "sampling.min_p", new() { MinP = float.NaN } },
        { "sampling.no_repeat_ngram_size", new() { NoRepeatNgramSize = -1 } },
        { "sampling.no_repeat_ngram_size", new() { NoRepeatNgramSize = 65 } },
        { "sampling.min_tokens", new() { MinTokens = -1 } },
        { "sampling.min_tokens", new() { MinTokens = 9, MaxTokens = 8 } },
        { "sampling.min_tokens", new() { MinTokens = 65, MaxTokens = 64 } },
        { "sampling.min_tokens", new() { MinTokens = int.MaxValue } },
        { "sampling.max_tokens", new() { MinTokens = 1, MaxTokens = 0 } },
        { "sampling.stop_strings", new() { StopStrings = [""] } },
        { "sampling.stop_strings", new() { StopStrings = [new string('x', 257)] } },
        { "sampling.stop_strings", new() { StopStrings = [.. Enumerable.Repeat("x", 17)] } },
        { "sampling.stop_tokens", new() { StopTokens = [-1] } },
        { "sampling.stop_tokens", new() { StopTokens = [512] } },
        { "sampling.stop_tokens", new() { StopTokens = [.. Enumerable.Range(0, 65)] } },
        { "sampling.samples", new() { Samples = 0 } },
        { "sampling.samples", new() { Samples = 9 } },
        { "sampling.samples", new() { Samples = 3, Beams = 2 } },
        { "sampling.beams", new() { Beams = 0 } },
        { "sampling.beams", new() { Beams = 9 } },
        { "sampling.temperature", new() { Beams = 2, Temperature = 0.5f } },
        { "sampling.log_probabilities", new() { Beams = 2, LogProbabilities = 1 } },
        { "sampling.stop_strings", new() { Beams = 2, StopStrings = ["."] } },
        { "sampling.length_penalty", new() { LengthPenalty = -5.1f } },
        { "sampling.length_penalty", new() { LengthPenalty = 5.1f } },
        { "sampling.length_penalty", new() { LengthPenalty = float.NaN } },
        { "sampling.logit_bias", new() { LogitBias = Bias(-1) } },
        { "sampling.logit_bias", new() { LogitBias = Bias(500, 24) } },
        { "sampling.logit_bias", new() { LogitBias = Bias(0, 1, 100.1f) } },
        { "sampling.logit_bias", new() { LogitBias = Bias(0, 1, float.NaN) } },
        { "sampling.allowed_tokens", new() { AllowedTokens = [0, -1] } },
        { "sampling.allowed_tokens", new() { AllowedTokens = [512, 513] } },
        { "sampling.allowed_tokens", new() { AllowedTokens = [7, 8, 7] } },
        { "sampling.log_probabilities", new() { LogProbabilities = -1 } },
        { "sampling.log_probabilities", new() { LogProbabilities = 21 } },
    };

    [Theory]
    [MemberData(nameof(OutOfRange), DisableDiscoveryEnumeration = true)]
    public void Sampling_out_of_range_is_one_fault_with_its_field(string field, SamplingParameters sampling)
    {
        var fault = Assert.Single(Faults(faults => PromptRules.CheckSampling(sampling, Model, faults)));
        Assert.Equal(field, fault.Field);
        Assert.NotEmpty(fault.Problem);
        Assert.NotEmpty(fault.Remedy);
    }

    [Fact]
    public void The_ends_of_every_range_are_allowed()
    {
        Assert.Empty(Faults(faults => PromptRules.CheckSampling(new(), Model, faults)));
        Assert.Empty(Faults(faults => PromptRules.CheckSampling(
            new() { MaxTokens = 1, Temperature = 0, TopK = 0, TopP = float.Epsilon, RepetitionPenalty = 0.1f, StopStrings = ["x"],
                StopTokens = [0], LengthPenalty = -5, LogitBias = Bias(0, 512, -100), LogProbabilities = 0, FrequencyPenalty = -2,
                PresencePenalty = -2, MinP = 0, NoRepeatNgramSize = 0, MinTokens = 1 },
            Model, faults)));
        Assert.Empty(Faults(faults => PromptRules.CheckSampling(
            new()
            {
                MaxTokens = 64, Temperature = 2, TopK = 512, TopP = 1, RepetitionPenalty = 10, FrequencyPenalty = 2, PresencePenalty = 2,
                MinP = 1, NoRepeatNgramSize = 64, MinTokens = 64,
                StopStrings = [.. Enumerable.Repeat(new string('x', 256), 16)], StopTokens = [.. Enumerable.Range(448, 64)], Samples = 8,
                LogitBias = Bias(0, 512, 100), AllowedTokens = [.. Enumerable.Range(0, 512)], LogProbabilities = 20,
            },
            Model, faults)));
        Assert.Empty(Faults(faults => PromptRules.CheckSampling(new() { Beams = 8, Samples = 8, LengthPenalty = 5 }, Model, faults)));
    }

    [Fact]
    public void A_bias_for_more_ids_than_allowed_is_refused()
    {
        var large = Model with { VocabularySize = 2000 };
        Assert.Empty(Faults(faults => PromptRules.CheckSampling(new() { LogitBias = Bias(0, PromptRules.MostBiases) }, large, faults)));
        Assert.Equal("sampling.logit_bias",
            Assert.Single(Faults(faults =>
                PromptRules.CheckSampling(new() { LogitBias = Bias(0, PromptRules.MostBiases + 1) }, large, faults))).Field);
    }

    [Fact]
    public void A_stage_that_does_not_say_how_many_makes_one_answer()
    {
        var silent = Model with { MaxSamples = 0 };
        Assert.Empty(Faults(faults => PromptRules.CheckSampling(new(), silent, faults)));
        Assert.Equal(["sampling.samples", "sampling.beams"],
            Faults(faults => PromptRules.CheckSampling(new() { Samples = 2, Beams = 2 }, silent, faults)).Select(fault => fault.Field));
    }

    public static TheoryData<string[], int[], int[], int> Attention => new()
    {
        { [], [], [], 1 },
        { [], [0, 1], [3], 1 },
        { ["attention.layers", "attention.heads"], [2], [0, -1, 4], 1 },
        { ["attention.layers", "attention.heads"], [1, 1], [0, 0], 1 },
        { ["attention"], [0], [0], 2 },
    };

    [Theory]
    [MemberData(nameof(Attention))]
    public void Attention_names_blocks_and_heads_that_are_there_each_once(string[] fields, int[] layers, int[] heads, int beams) =>
        Assert.Equal(fields, Faults(faults =>
            PromptRules.CheckAttention(new AttentionChoice(layers, heads), new() { Beams = beams }, Model, faults))
            .Select(fault => fault.Field));

    [Fact]
    public void No_attention_is_no_fault() =>
        Assert.Empty(Faults(faults => PromptRules.CheckAttention(null, new() { Beams = 2 }, Model, faults)));

    [Theory]
    [InlineData(null, false)]
    [InlineData(0.001, false)]
    [InlineData(600.0, false)]
    [InlineData(600.1, true)]
    [InlineData(0.0, true)]
    [InlineData(-1.0, true)]
    public void A_pin_is_positive_and_at_most_the_models_longest(double? seconds, bool fault) => Assert.Equal(
        fault ? "pin_prefix" : null, Faults(
            faults => PromptRules.CheckPin(seconds is { } pin ? TimeSpan.FromSeconds(pin) : null, Model, faults)).SingleOrDefault()?.Field);

    [Fact]
    public void A_long_list_of_wrong_ids_is_one_fault_that_names_the_first() =>
        Assert.Equal(
            "600, 601, 602, 603, 604, 605, 606, 607, … are no token ids.",
            Assert.Single(Faults(faults =>
                PromptRules.CheckSampling(new() { AllowedTokens = [.. Enumerable.Range(600, 512)] }, Model, faults))).Problem);

    [Fact]
    public void All_faults_come_at_once_in_one_exception()
    {
        var faults = new FaultList();
        PromptRules.CheckSegmentCount(0, faults);
        PromptRules.CheckTexts([(0, "fine"), (1, "an <image> and a <fake>"), (4, "<image>")], Model, faults);
        PromptRules.CheckSampling(
            new() { MaxTokens = 0, Temperature = float.NaN, TopK = -1, TopP = float.NaN, RepetitionPenalty = float.NaN, StopStrings = [""],
                StopTokens = [-1, 7, 512] }, Model, faults);
        PromptRules.CheckCandidates(["", "ok", "<fake>"], Model, faults);

        var exception = Assert.Throws<FlamingoException>(() => PromptRules.ThrowIfAny(faults));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, exception.Kind);
        Assert.Equal(
            [
                "segments", "segments[1].text", "segments[1].text", "segments[4].text",
                "sampling.max_tokens", "sampling.temperature", "sampling.top_k", "sampling.repetition_penalty", "sampling.top_p",
                "sampling.stop_strings", "sampling.stop_tokens", "sampling.stop_tokens", "candidates[0]", "candidates[2]",
            ],
            exception.Faults.Select(fault => fault.Field));
        Assert.All(exception.Faults, fault => Assert.Contains(fault.ToString(), exception.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Nothing_is_thrown_without_faults() => PromptRules.ThrowIfAny([]);

    // The lists throw when an element is looked at.
    [Fact]
    public void A_wrong_count_is_one_fault_and_no_element_is_looked_at()
    {
        const int many = 300_000;
        var (ids, texts) = (new Untouchable<int>(many), new Untouchable<string>(many));
        foreach (var sampling in new SamplingParameters[]
        {
            new() { StopStrings = texts }, new() { StopTokens = ids }, new() { AllowedTokens = ids },
        })
            Assert.Contains("300000", Assert.Single(Faults(faults => PromptRules.CheckSampling(sampling, Model, faults))).Problem);
        Assert.Single(Faults(faults => PromptRules.CheckSampling(new() { LogitBias = Bias(-9, many) }, Model, faults)));
        Assert.Equal(["attention.layers", "attention.heads"],
            Faults(faults => PromptRules.CheckAttention(new AttentionChoice(ids, ids), new(), Model, faults)).Select(fault => fault.Field));
        Assert.Equal("candidates", Assert.Single(Faults(faults => PromptRules.CheckCandidates(texts, Model, faults))).Field);
    }

    [Fact]
    public void Sixteen_faults_are_kept_and_the_others_are_counted()
    {
        var faults = new FaultList();
        for (var index = 0; index < 300_000; index++) faults.Add(new($"field[{index}]", "It is wrong.", "Send another."));
        Assert.Equal((16, 299_984, 300_000), (faults.Count, faults.Further, faults.Total));
        var refusal = Assert.Throws<FlamingoException>(() => PromptRules.ThrowIfAny(faults));
        Assert.Equal((16, 299_984, "field[15]"), (refusal.Faults.Count, refusal.FurtherFaults, refusal.Faults[^1].Field));
        Assert.EndsWith(" And 299984 more faults.", refusal.Message, StringComparison.Ordinal);

        var several = new FaultList { new("first", "It is wrong.", "Send another.") };
        several.AddAll(refusal);
        Assert.Equal((16, 300_001), (several.Count, several.Total));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1, false)]
    [InlineData(PromptRules.MostSegments, false)]
    [InlineData(PromptRules.MostSegments + 1, true)]
    public void Prompts_have_at_least_one_segment_and_at_most_so_many(int count, bool fault) =>
        Assert.Equal(fault, Faults(faults => PromptRules.CheckSegmentCount(count, faults)).Count > 0);

    [Theory]
    [InlineData("an <imag e>, < image >, <IMAGE>", 0)]
    [InlineData("<|endofchunk|>", 0)]
    [InlineData("<image>", 1)]
    [InlineData("x<<image>><fake>", 2)]
    public void Only_the_exact_picture_markers_are_refused_in_text(string text, int expected) =>
        Assert.Equal(expected, Faults(faults => PromptRules.CheckTexts([(0, text)], Model, faults)).Count);

    [Theory]
    [InlineData(0, "candidates")]
    [InlineData(1, null)]
    [InlineData(3, null)]
    [InlineData(4, "candidates")]
    public void Candidates_are_one_to_the_models_most(int count, string? field) =>
        Assert.Equal(field, Faults(faults => PromptRules.CheckCandidates([.. Enumerable.Repeat("x", count)], Model, faults))
            .SingleOrDefault()?.Field);

    [Theory]
    [InlineData(0, null)]
    [InlineData(1, "4194305")]
    public void All_texts_together_and_all_candidates_are_bounded(int more, string? named)
    {
        var (half, rest) = (new string('a', PromptRules.MostCharacters / 2), new string('b', (PromptRules.MostCharacters / 2) + more));
        var (texts, candidates) = (Faults(faults => PromptRules.CheckTexts([(0, half), (2, rest)], Model, faults)),
            Faults(faults => PromptRules.CheckCandidates([half, rest], Model, faults)));
        foreach (var (field, faults) in new[] { ("segments", texts), ("candidates", candidates) })
        {
            if (named is null) Assert.Empty(faults);
            else Assert.Equal((field, true), (Assert.Single(faults).Field, faults[0].Problem.StartsWith(named, StringComparison.Ordinal)));
        }
    }

    /// <summary>Callers parse and compare messages, so the server's locale must not change the decimal separator in them.</summary>
    [Fact]
    public void Numbers_are_written_alike_in_every_culture()
    {
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            var faults = Faults(list =>
                PromptRules.CheckSampling(new() { RepetitionPenalty = 0.05f, TopP = 1.5f, MaxTokens = 100_000_000 }, Model, list));
            Assert.Equal(["100000000 is out of range.", "0.05 is out of range.", "1.5 is out of range."],
                faults.Select(fault => fault.Problem));
            Assert.Equal("Send 0.1 to 10.", faults[1].Remedy);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    private static FaultList Faults(Action<FaultList> check)
    {
        var faults = new FaultList();
        check(faults);
        return faults;
    }

    private sealed class Untouchable<T>(int count) : IReadOnlyList<T>
    {
        public int Count => count;

        public T this[int index] => throw new InvalidOperationException("An element was looked at.");

        public IEnumerator<T> GetEnumerator() => throw new InvalidOperationException("The elements were looked at.");

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
