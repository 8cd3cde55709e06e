using System.Text.Json;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Generating;

/// <summary>Serializes an answer as one JSON object. Its members are a contract with callers' scripts.</summary>
public static class AnswerJson
{
    private sealed record AnswerObject(
        string Text, IReadOnlyList<int> Ids, string FinishReason, int PromptTokens,
        IReadOnlyList<PromptReport.Picture> Pictures, PromptReport.CacheSaved Cache, PromptReport.Timings Timings)
    {
        /// <summary>The seed of a sampled answer; the same seed gives the same answer. Null for greedy answers.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public ulong? Seed { get; init; }

        /// <summary>The shots that were selected from a support set; null without one.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public PromptReport.ShotsDrawn? Shots { get; init; }

        /// <summary>Number of prompt tokens from the prefix cache; present with a pinned prefix and in a conversation.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public int? CachedTokens { get; init; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public IReadOnlyList<LogProbability>? LogProbabilities { get; init; }

        /// <summary>All samples or beams where there are several; the first one is the same as <c>text</c> and <c>ids</c>.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public IReadOnlyList<Sample>? Samples { get; init; }
    }

    private sealed record LogProbability(int Id, [property: JsonPropertyName("log_probability")] float Value, IReadOnlyList<Likely> Top);

    private sealed record Likely(int Id, [property: JsonPropertyName("log_probability")] float Value);

    private sealed record Sample(string Text, IReadOnlyList<int> Ids, string FinishReason, double? Score)
    {
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public IReadOnlyList<LogProbability>? LogProbabilities { get; init; }
    }

    public static string Write(Answer whole, SamplingParameters sampling, bool cachedTokens)
    {
        var (first, prompt) = (whole.Samples[0], PromptReport.Of(whole));
        IReadOnlyList<LogProbability>? LogProbabilitiesOf(AnswerSample sample) => sampling.LogProbabilities is null
            ? null
            : [.. sample.LogProbabilities.Select(token => new LogProbability(
                token.Id, token.LogProbability, [.. token.Top.Select(top => new Likely(top.Id, top.LogProbability))]))];
        Sample SampleOf(AnswerSample sample, FinishedSample end) =>
            new(sample.Text, sample.Ids, Name(end.Reason), end.Score) { LogProbabilities = LogProbabilitiesOf(sample) };
        var answer = new AnswerObject(
            first.Text, first.Ids, Name(whole.Finished.Reason), whole.Finished.PromptTokens,
            prompt.Pictures, prompt.Cache, PromptReport.Timings.Of(whole.Finished.Timings))
        {
            Seed = sampling.Temperature > 0 ? whole.Finished.Seed : null,
            Shots = prompt.Shots,
            CachedTokens = cachedTokens ? whole.Finished.CachedTokens : null,
            LogProbabilities = LogProbabilitiesOf(first),
            Samples = sampling is { Samples: 1, Beams: 1 }
                ? null
                : [.. whole.Samples.Select((sample, index) => SampleOf(sample, whole.EndOf(index)))],
        };
        return JsonSerializer.Serialize(answer, Page.Json);
    }

    public static string Name(FinishReason reason) => reason == FinishReason.Stop ? "stop" : "length";
}
