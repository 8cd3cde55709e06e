using System.Globalization;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;

namespace Flamingo.Cli.Generating;

/// <summary>
/// Where a prompt's pictures came from and what that saved, for objects and for people; scripts outside depend on the members.
/// </summary>
public sealed class PromptReport
{
    private PromptReport(IEnumerable<PictureReport> pictures, CacheUse use, SelectedShots? shots)
    {
        Pictures = [.. pictures.Select(picture => new Picture(picture.Id, Name(picture.Source)))];
        Cache = new CacheSaved(use.MemoryHits, use.RedisHits, use.Encoded, use.Waits, Milliseconds(use.Saved));
        Shots = shots is null ? null : new ShotsDrawn(shots.Name, shots.Version, shots.Examples);
    }

    /// <summary>The shots of a support set first.</summary>
    public IReadOnlyList<Picture> Pictures { get; }

    public CacheSaved Cache { get; }

    /// <summary>With a support set.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ShotsDrawn? Shots { get; }

    public sealed record Picture(string Id, string Source);

    public sealed record CacheSaved(int MemoryHits, int RedisHits, int Encoded, int Waits, double SavedMs);

    /// <param name="Examples">Places in the set, 0-based, in the order of the prompt.</param>
    public sealed record ShotsDrawn(string Name, long Version, IReadOnlyList<int> Examples);

    /// <summary>Milliseconds.</summary>
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

    /// <summary>A part of a summary, with a semicolon before each clause; empty without pictures.</summary>
    public override string ToString()
    {
        if (Pictures.Count == 0) return "";
        var sources = Pictures.CountBy(picture => picture.Source).Select(count => $"{count.Value} {count.Key}");
        return $"; pictures: {string.Join(", ", sources)}"
            + (Cache.Waits > 0 ? $", {Cache.Waits} of them by another request" : "")
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
