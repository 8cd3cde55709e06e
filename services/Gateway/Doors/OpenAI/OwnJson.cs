using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>Writes what OpenAI's API has no words for: where pictures came from, times and digests.</summary>
internal static class OwnJson
{
    public static void Pictures(Utf8JsonWriter json, IReadOnlyList<PictureReport> pictures, CacheUse cache)
    {
        json.WriteStartArray("pictures");
        foreach (var picture in pictures)
        {
            json.WriteStartObject();
            json.WriteString("id", picture.Id);
            json.WriteString("source", NameOf(picture.Source));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartObject("cache");
        json.WriteNumber("memory_hits", cache.MemoryHits);
        json.WriteNumber("redis_hits", cache.RedisHits);
        json.WriteNumber("encoded", cache.Encoded);
        json.WriteNumber("waits", cache.Waits);
        json.WriteNumber("saved_ms", cache.Saved.TotalMilliseconds);
        json.WriteEndObject();
    }

    public static void Timings(Utf8JsonWriter json, StageTimings times)
    {
        json.WriteStartObject("timings");
        json.WriteNumber("lookup_ms", times.Lookup.TotalMilliseconds);
        json.WriteNumber("vision_ms", times.Vision.TotalMilliseconds);
        json.WriteNumber("resample_ms", times.Resample.TotalMilliseconds);
        json.WriteNumber("prefill_ms", times.Prefill.TotalMilliseconds);
        json.WriteNumber("first_token_ms", times.FirstToken.TotalMilliseconds);
        json.WriteNumber("total_ms", times.Total.TotalMilliseconds);
        json.WriteEndObject();
    }

    public static void Digests(Utf8JsonWriter json, ModelDigests digests)
    {
        json.WriteStartObject("digests");
        json.WriteString("vision", digests.Vision);
        json.WriteString("resampler", digests.Resampler);
        json.WriteString("language", digests.Language);
        json.WriteEndObject();
    }

    public static string NameOf(PictureSource source) => source switch
    {
        PictureSource.Memory => "memory",
        PictureSource.Redis => "redis",
        _ => "encoded",
    };
}
