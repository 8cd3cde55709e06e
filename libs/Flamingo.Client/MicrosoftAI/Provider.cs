using Flamingo.Abstractions;
using Microsoft.Extensions.AI;

namespace Flamingo.Client.MicrosoftAI;

/// <summary>What both clients of Microsoft.Extensions.AI say of themselves and of what an answer cost.</summary>
internal static class Provider
{
    public const string Name = "flamingo";

    private const string Encoded = "pictures_encoded", Cached = "pictures_cached"; // as in the usage of OpenAI's API

    /// <summary>The first address of a client; null for a model in this process, and for a name of DNS.</summary>
    public static Uri? AddressOf(IFlamingo flamingo) =>
        flamingo is FlamingoClient { Addresses: [var first, ..] } && Uri.TryCreate(first, UriKind.Absolute, out var address)
            && address.Scheme is "http" or "https"
            ? address
            : null;

    public static UsageDetails UsageOf(Answer answer) => new()
    {
        InputTokenCount = answer.Finished.PromptTokens,
        OutputTokenCount = answer.Finished.GeneratedTokens,
        TotalTokenCount = answer.Finished.PromptTokens + answer.Finished.GeneratedTokens,
        CachedInputTokenCount = answer.Finished.CachedTokens,
        AdditionalCounts = PicturesOf(answer.Cache),
    };

    /// <summary>The usage of embeddings, for which no token is read.</summary>
    public static UsageDetails UsageOf(FlamingoEncoding encoding) =>
        new() { InputTokenCount = 0, TotalTokenCount = 0, AdditionalCounts = PicturesOf(encoding.Cache) };

    private static AdditionalPropertiesDictionary<long> PicturesOf(CacheUse cache) =>
        new() { [Encoded] = cache.Encoded, [Cached] = cache.MemoryHits + cache.RedisHits };
}
