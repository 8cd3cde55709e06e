using System.Text.Json;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Generating;

/// <summary>An answer as one JSON object; scripts outside depend on its members.</summary>
public static class AnswerJson
{
    private sealed record AnswerObject(
        string Text, IReadOnlyList<int> Ids, string FinishReason, int PromptTokens,
        IReadOnlyList<PromptReport.Picture> Pictures, PromptReport.CacheSaved Cache, PromptReport.Timings Timings)
    {
        /// <summary>Where it was sampled; the same seed gives the same answer.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public ulong? Seed { get; init; }

        /// <summary>With a support set.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public PromptReport.ShotsDrawn? Shots { get; init; }

        /// <summary>With a pinned prefix, and in a conversation.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public int? CachedTokens { get; init; }

        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public IReadOnlyList<LogProbability>? LogProbabilities { get; init; }

        /// <summary>With several answers or beams; the first of them is the text above.</summary>
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
        IReadOnlyList<LogProbability>? Told(AnswerSample sample) => sampling.LogProbabilities is null
            ? null
            : [.. sample.LogProbabilities.Select(token => new LogProbability(
                token.Id, token.LogProbability, [.. token.Top.Select(top => new Likely(top.Id, top.LogProbability))]))];
        Sample Whole(AnswerSample sample, FinishedSample end) =>
            new(sample.Text, sample.Ids, Name(end.Reason), end.Score) { LogProbabilities = Told(sample) };
        var answer = new AnswerObject(
            first.Text, first.Ids, Name(whole.Finished.Reason), whole.Finished.PromptTokens,
            prompt.Pictures, prompt.Cache, PromptReport.Timings.Of(whole.Finished.Timings))
        {
            Seed = sampling.Temperature > 0 ? whole.Finished.Seed : null,
            Shots = prompt.Shots,
            CachedTokens = cachedTokens ? whole.Finished.CachedTokens : null,
            LogProbabilities = Told(first),
            Samples = sampling is { Samples: 1, Beams: 1 }
                ? null
                : [.. whole.Samples.Select((sample, index) => Whole(sample, whole.EndOf(index)))],
        };
        return JsonSerializer.Serialize(answer, Page.Json);
    }

    public static string Name(FinishReason reason) => reason == FinishReason.Stop ? "stop" : "length";
}
