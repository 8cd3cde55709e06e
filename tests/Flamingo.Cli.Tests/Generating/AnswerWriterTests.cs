using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;

namespace Flamingo.Cli.Tests.Generating;

/// <summary>Tests the output that the command writes for the events of an answer.</summary>
public sealed class AnswerWriterTests
{
    private static readonly FlamingoRequest Plain = new([new FlamingoText("x")], new SamplingParameters());

    [Fact]
    public async Task One_answer_has_the_promised_members_and_no_others()
    {
        var (output, _, _) = await WriteAsync(Plain, json: true);
        Assert.Equal(["text", "ids", "finish_reason", "prompt_tokens", "pictures", "cache", "timings"],
            JsonDocument.Parse(output).RootElement.EnumerateObject().Select(member => member.Name));
    }

    [Fact]
    public async Task What_was_asked_for_is_told()
    {
        var (output, _, _) = await WriteAsync(
            Plain with { PinPrefix = TimeSpan.FromSeconds(1), Sampling = new() { LogProbabilities = 1, Beams = 2, Samples = 2 } },
            json: true);
        var answer = JsonDocument.Parse(output).RootElement;
        Assert.Equal(["text", "ids", "finish_reason", "prompt_tokens", "pictures", "cache", "timings",
            "cached_tokens", "log_probabilities", "samples"],
            answer.EnumerateObject().Select(member => member.Name));
        Assert.Equal("a dog", answer.GetProperty("text").GetString());
        Assert.Equal("[1,2]", answer.GetProperty("ids").GetRawText());
        Assert.Equal(5, answer.GetProperty("cached_tokens").GetInt32());
        Assert.Equal("""[{"id":1,"log_probability":-0.5,"top":[{"id":1,"log_probability":-0.5}]}]""",
            answer.GetProperty("log_probabilities").GetRawText());
        var samples = answer.GetProperty("samples").EnumerateArray().ToArray();
        Assert.All(samples, sample =>
            Assert.Equal(["text", "ids", "finish_reason", "score"], sample.EnumerateObject().Select(member => member.Name).Take(4)));
        Assert.Equal(["a dog", "a cat"], samples.Select(sample => sample.GetProperty("text").GetString()));
        Assert.Equal(["stop", "length"], samples.Select(sample => sample.GetProperty("finish_reason").GetString()));
        Assert.Equal([-0.25, -0.75], samples.Select(sample => sample.GetProperty("score").GetDouble()));
    }

    /// <summary>A greedy answer has no seed; a sampled answer can be repeated with its seed.</summary>
    [Fact]
    public async Task Prompt_tokens_and_the_seed_of_a_sampled_answer_are_told()
    {
        JsonElement Read(string output) => JsonDocument.Parse(output).RootElement;
        var greedy = Read((await WriteAsync(Plain, json: true)).Output);
        Assert.Equal(7, greedy.GetProperty("prompt_tokens").GetInt32());
        Assert.False(greedy.TryGetProperty("seed", out _));
        foreach (var seed in new ulong?[] { null, ulong.MaxValue })
        {
            var sampled = Read((await WriteAsync(Plain with { Sampling = new() { Temperature = 1, Seed = seed } }, json: true)).Output);
            Assert.Equal(ulong.MaxValue, sampled.GetProperty("seed").GetUInt64());
        }
    }

    [Fact]
    public async Task Several_answers_are_a_line_each_and_the_rest_is_on_standard_error()
    {
        var (output, error, _) = await WriteAsync(Plain with { Sampling = new() { Samples = 2, LogProbabilities = 1 } }, json: false);
        Assert.Equal("a dog\na cat\n", output.ReplaceLineEndings("\n"));
        Assert.Contains("[token 1 -0.5000; likely: 1 -0.5000]", error, StringComparison.Ordinal);
        Assert.Contains("(5 cached)", error, StringComparison.Ordinal);
        Assert.Contains("scores: -0.2500, -0.7500", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_cache_saved_and_what_was_drawn_is_told_both_ways()
    {
        PicturesResolved resolved = new([new("p", PictureSource.Memory), new("q", PictureSource.Redis), new("r", PictureSource.Encoded)],
            default, default, default)
        {
            Cache = new(1, 1, 1, 1, TimeSpan.FromMilliseconds(12.5)), Shots = new("words", 3, [5, 0]),
        };
        var answer = JsonDocument.Parse((await WriteAsync(Plain, json: true, resolved)).Output).RootElement;
        Assert.Equal("""{"memory_hits":1,"redis_hits":1,"encoded":1,"waits":1,"saved_ms":12.5}""",
            answer.GetProperty("cache").GetRawText());
        Assert.Equal("""{"name":"words","version":3,"examples":[5,0]}""", answer.GetProperty("shots").GetRawText());
        var (_, error, _) = await WriteAsync(Plain, json: false, resolved);
        Assert.Contains(
            "; pictures: 1 memory, 1 redis, 1 encoded, 1 of them encoded by another request; cache saved 12.5 ms; shots of words version "
            + "3: 5, "
            + "0; vision", error, StringComparison.Ordinal);
    }

    private static AnswerFinished End => new(FinishReason.Stop, 7, 4, ulong.MaxValue,
        new(default, default, default, default, default, default), new("v", "r", "l"))
    {
        CachedTokens = 5, Samples = [new(FinishReason.Stop, 2, -0.25), new(FinishReason.Length, 2, -0.75)],
    };

    private static async Task<(string Output, string Error, Answer Whole)> WriteAsync(FlamingoRequest request, bool json,
        PicturesResolved? resolved = null)
    {
        AnswerEvent[] events =
        [
            resolved ?? new PicturesResolved([new("p", PictureSource.Memory)], default, default, default),
            new AnswerTokens("a", [1]) { LogProbabilities = [new(1, -0.5f, [(1, -0.5f)])] },
            .. request.Sampling.Samples < 2 ? []
                : new AnswerEvent[] { new AnswerTokens("a", [1]) { Sample = 1 } },
            new AnswerTokens(" dog", [2]),
            .. request.Sampling.Samples < 2 ? [] : new AnswerEvent[] { new AnswerTokens(" cat", [3]) { Sample = 1 } },
            End,
        ];
        var (output, error) = (new StringWriter(), new StringWriter());
        var whole = await new AnswerWriter(output, error, request.Sampling, json, cachedTokens: request.PinPrefix is not null).WriteAsync(
            events.ToAsyncEnumerable(), TestContext.Current.CancellationToken);
        return (output.ToString(), error.ToString(), whole);
    }
}
