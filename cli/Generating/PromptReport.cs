using System.Globalization;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;

namespace Flamingo.Cli.Generating;

/// <summary>
/// Reports from which cache tier a prompt's pictures came and how much time that saved, as members of a JSON object and as text. The
/// JSON members are a contract with callers' scripts.
/// </summary>
public sealed class PromptReport
{
    private PromptReport(IEnumerable<PictureReport> pictures, CacheUse use, SelectedShots? shots)
    {
        Pictures = [.. pictures.Select(picture => new Picture(picture.Id, Name(picture.Source)))];
        Cache = new CacheSaved(use.MemoryHits, use.RedisHits, use.Encoded, use.Waits, Milliseconds(use.Saved));
        Shots = shots is null ? null : new ShotsDrawn(shots.Name, shots.Version, shots.Examples);
    }

    /// <summary>The prompt's pictures in order; the shots of a support set come first.</summary>
    public IReadOnlyList<Picture> Pictures { get; }

    public CacheSaved Cache { get; }

    /// <summary>The shots that were selected from a support set; null without one.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ShotsDrawn? Shots { get; }

    public sealed record Picture(string Id, string Source);

    public sealed record CacheSaved(int MemoryHits, int RedisHits, int Encoded, int Waits, double SavedMs);

    /// <param name="Examples">Zero-based indices into the support set, in the order of the prompt.</param>
    public sealed record ShotsDrawn(string Name, long Version, IReadOnlyList<int> Examples);

    /// <summary>Durations of the stages in milliseconds.</summary>
    public sealed record Timings(double Vision, double Resample, double Prefill, double FirstToken, double Total)
    {
        public static Timings Of(StageTimings times) =>
            new(
                Milliseconds(times.Vision), Milliseconds(times.Resample), Milliseconds(times.Prefill), Milliseconds(times.FirstToken),
                Milliseconds(times.Total));

        public override string ToString() =>
            string.Create(
                CultureInfo.InvariantCulture,
                $"vision {Vision} ms, resample {Resample} ms, prefill {Prefill} ms, first token {FirstToken} ms, total {Total} ms");
    }

    public static PromptReport Of(Answer answer) => Of(answer.Resolved);

    public static PromptReport Of(PicturesResolved pictures) => new(pictures.Pictures, pictures.Cache, pictures.Shots);

    public static PromptReport Of(FlamingoRanking ranking) => new(ranking.Pictures, ranking.Cache, ranking.Shots);

    /// <summary>Formats the part of a summary line about pictures, with a semicolon before each clause; empty without pictures.</summary>
    public override string ToString()
    {
        if (Pictures.Count == 0) return "";
        var sources = Pictures.CountBy(picture => picture.Source).Select(count => $"{count.Value} {count.Key}");
        return $"; pictures: {string.Join(", ", sources)}"
            + (Cache.Waits > 0 ? $", {Cache.Waits} of them encoded by another request" : "")
            + (Cache.SavedMs > 0 ? string.Create(CultureInfo.InvariantCulture, $"; cache saved {Cache.SavedMs} ms") : "")
            + (Shots is { } drawn ? $"; shots of {drawn.Name} version {drawn.Version}: {string.Join(", ", drawn.Examples)}" : "");
    }

    public static double Milliseconds(TimeSpan time) => Math.Round(time.TotalMilliseconds, 3);

    private static string Name(PictureSource source) => source switch
    {
        PictureSource.Memory => "memory",
        PictureSource.Redis => "redis",
        _ => "encoded",
    };
}
