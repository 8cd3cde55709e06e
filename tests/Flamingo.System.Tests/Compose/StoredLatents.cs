using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Gateway.Latents;
using StackExchange.Redis;

namespace Flamingo.SystemTests.Compose;

/// <summary>Reads the latents that the stack's gateway has written to Redis, directly from Redis.</summary>
internal static class StoredLatents
{
    /// <summary>Waits for writes to Redis, which happen after the answers.</summary>
    public static async Task WrittenAsync(this ComposeStack stack, FlamingoClient client, IEnumerable<byte[]> pictures,
        CancellationToken cancellation)
    {
        var model = await client.GetModelAsync(cancellation);
        await using var redis = await stack.RedisAsync(cancellation);
        foreach (var picture in pictures)
            await ComposeStack.EventuallyAsync("latents are in Redis",
                async () => await redis.LatentsAsync(picture, model, model.Vision.WeightsDigest) is not null, cancellation);
    }

    /// <summary>The latents of a picture under the key of a vision encoder's digest; null if the key does not exist.</summary>
    public static async Task<float[]?> LatentsAsync(this ConnectionMultiplexer redis, byte[] picture, FlamingoModel model,
        string visionDigest)
    {
        var key = LatentKey.Compute(
            PictureId.Of(picture), visionDigest, model.Resampler.WeightsDigest, model.Vision.PreprocessingVersion, TensorDtype.Float32, "");
        var value = await redis.GetDatabase().HashGetAsync($"flamingo:latents:{key}", "data");
        return value.IsNull ? null : LatentValue.Read(key, (byte[])value!, (_, _) => true)!.Latents.Tensor.ToFloats();
    }
}
