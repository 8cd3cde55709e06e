using System.Globalization;

namespace Flamingo.Stages.Tests;

public sealed class PromptRulesTests
{
    private static readonly LanguageModelDescription Model =
        new("test", "digest", VocabularySize: 512, ContextLength: 64, Latents: 4, LatentWidth: 8, "<image>", ["<image>", "<fake>"], "<|endofchunk|>", MaxCandidates: 3);

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
        { "sampling.stop_strings", new() { StopStrings = [""] } },
        { "sampling.stop_strings", new() { StopStrings = [new string('x', 257)] } },
        { "sampling.stop_strings", new() { StopStrings = [.. Enumerable.Repeat("x", 17)] } },
        { "sampling.stop_tokens", new() { StopTokens = [-1] } },
        { "sampling.stop_tokens", new() { StopTokens = [512] } },
        { "sampling.stop_tokens", new() { StopTokens = [.. Enumerable.Range(0, 65)] } },
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
            new() { MaxTokens = 1, Temperature = 0, TopK = 0, TopP = float.Epsilon, RepetitionPenalty = 0.1f, StopStrings = ["x"], StopTokens = [0] }, Model, faults)));
        Assert.Empty(Faults(faults => PromptRules.CheckSampling(
            new()
            {
                MaxTokens = 64, Temperature = 2, TopK = 512, TopP = 1, RepetitionPenalty = 10,
                StopStrings = [.. Enumerable.Repeat(new string('x', 256), 16)], StopTokens = [.. Enumerable.Range(448, 64)],
            },
            Model, faults)));
    }

    [Fact]
    public void All_faults_come_at_once_in_one_exception()
    {
        var faults = new List<FieldFault>();
        PromptRules.CheckSegmentCount(0, faults);
        PromptRules.CheckTexts([(0, "fine"), (1, "an <image> and a <fake>"), (4, "<image>")], Model, faults);
        PromptRules.CheckSampling(
            new() { MaxTokens = 0, Temperature = float.NaN, TopK = -1, TopP = float.NaN, RepetitionPenalty = float.NaN, StopStrings = [""], StopTokens = [-1, 7, 512] }, Model, faults);
        PromptRules.CheckCandidates(["", "ok", "<fake>"], Model, faults);

        var exception = Assert.Throws<StageException>(() => PromptRules.ThrowIfAny(faults));
        Assert.Equal(StageErrorKind.InvalidArgument, exception.Kind);
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
        Assert.Equal(field, Faults(faults => PromptRules.CheckCandidates([.. Enumerable.Repeat("x", count)], Model, faults)).SingleOrDefault()?.Field);

    /// <summary>Callers parse and compare messages; a server's locale must not write commas into them.</summary>
    [Fact]
    public void Numbers_are_written_alike_in_every_culture()
    {
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            var faults = Faults(list => PromptRules.CheckSampling(new() { RepetitionPenalty = 0.05f, TopP = 1.5f, MaxTokens = 100_000_000 }, Model, list));
            Assert.Equal(["100000000 is out of range.", "0.05 is out of range.", "1.5 is out of range."], faults.Select(fault => fault.Problem));
            Assert.Equal("Send 0.1 to 10.", faults[1].Remedy);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    private static List<FieldFault> Faults(Action<List<FieldFault>> check)
    {
        var faults = new List<FieldFault>();
        check(faults);
        return faults;
    }
}
