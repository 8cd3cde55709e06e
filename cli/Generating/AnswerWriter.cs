using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>Writes an answer as it arrives (text) or once it is whole (one JSON object).</summary>
public sealed class AnswerWriter(TextWriter output, TextWriter error, bool json)
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private sealed record Answer(string Text, IReadOnlyList<int> Ids, string FinishReason, IReadOnlyList<Picture> Pictures, Timings Timings);

    private sealed record Picture(string Id, string Source);

    /// <summary>Milliseconds.</summary>
    private sealed record Timings(double Vision, double Resample, double Prefill, double FirstToken, double Total);

    public async Task WriteAsync(IAsyncEnumerable<AnswerEvent> answer, bool showSeed, CancellationToken cancellation)
    {
        var text = new StringBuilder();
        var ids = new List<int>();
        IReadOnlyList<PictureReport> pictures = [];
        AnswerFinished? finished = null;
        try
        {
            await foreach (var part in answer.WithCancellation(cancellation))
            {
                if (part is PicturesResolved resolved) pictures = resolved.Pictures;
                else if (part is AnswerFinished last) finished = last;
                else if (part is AnswerTokens tokens)
                {
                    ids.AddRange(tokens.Ids);
                    text.Append(tokens.Text);
                    if (!json) await output.WriteAsync(tokens.Text);
                }
            }
        }
        finally
        {
            // an answer that breaks off still leaves the report of why on a line of its own
            if (!json && text.Length > 0) await output.WriteLineAsync();
        }

        if (finished is null) throw new StageException(StageErrorKind.Unavailable, "The answer ended before it was finished. Ask again.");
        if (json) await output.WriteLineAsync(JsonSerializer.Serialize(ToAnswer(text.ToString(), ids, pictures, finished), Json));
        else await error.WriteLineAsync(Summary(pictures, finished, showSeed));
    }

    private static Answer ToAnswer(string text, List<int> ids, IReadOnlyList<PictureReport> pictures, AnswerFinished finished)
    {
        var times = finished.Timings;
        return new Answer(text, ids, finished.Reason == FinishReason.Stop ? "stop" : "length",
            [.. pictures.Select(picture => new Picture(picture.Id, Name(picture.Source)))],
            new Timings(Round(times.Vision), Round(times.Resample), Round(times.Prefill), Round(times.FirstToken), Round(times.Total)));
    }

    private static string Summary(IReadOnlyList<PictureReport> pictures, AnswerFinished finished, bool showSeed)
    {
        var sources = pictures.CountBy(picture => Name(picture.Source)).Select(count => $"{count.Value} {count.Key}");
        var times = finished.Timings;
        return $"[{finished.GeneratedTokens} tokens after {finished.PromptTokens}, {(finished.Reason == FinishReason.Stop ? "stop" : "length")}"
            + (pictures.Count > 0 ? $"; pictures: {string.Join(", ", sources)}" : "")
            + $"; vision {Round(times.Vision)} ms, resample {Round(times.Resample)} ms, prefill {Round(times.Prefill)} ms, first token {Round(times.FirstToken)} ms, total {Round(times.Total)} ms"
            + (showSeed ? $"; seed {finished.Seed}]" : "]");
    }

    private static string Name(PictureSource source) => source switch
    {
        PictureSource.Memory => "memory",
        PictureSource.Redis => "redis",
        _ => "encoded",
    };

    private static double Round(TimeSpan time) => Math.Round(time.TotalMilliseconds, 3);
}
