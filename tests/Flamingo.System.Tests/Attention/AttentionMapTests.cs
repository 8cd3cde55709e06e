using System.Runtime.InteropServices;
using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Gateway.Attention;
using Flamingo.Stages;
using Flamingo.SystemTests.Embedded;
using Flamingo.SystemTests.Episodes;

namespace Flamingo.SystemTests.Attention;

/// <summary>From PNG files to the original's maps: vision encoder, resampler and projection, with the original's own weights over latents.</summary>
public sealed class AttentionMapTests
{
    [Fact(Timeout = 120_000)]
    public async Task Maps_of_the_trained_model_are_the_originals()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync();
        using var golden = SafetensorsFile.Open(Episode.Evaluation("golden_attention.safetensors"));
        using var prompts = JsonDocument.Parse(await File.ReadAllBytesAsync(Episode.Evaluation("golden_attention.json"), TestContext.Current.CancellationToken));
        var compared = 0;
        foreach (var prompt in prompts.RootElement.EnumerateArray())
        {
            var name = $"episode{prompt.GetProperty("episode").GetInt32()}";
            var picture = await File.ReadAllBytesAsync(Episode.Evaluation("pictures", prompt.GetProperty("pictures").EnumerateArray().Last().GetString()!), TestContext.Current.CancellationToken);
            var encoding = await embedded.VisionEncoder.EncodeAsync(new VisionEncodeRequest([picture]), TestContext.Current.CancellationToken);
            var resampling = await embedded.Resampler.ResampleAsync(new ResampleRequest([encoding.Pictures[0].Features], IncludeAttention: true), TestContext.Current.CancellationToken);

            var (weights, shape) = Read(golden, $"{name}.cross_attention");                 // [layers, heads, tokens, latents]
            var (maps, _) = Read(golden, $"{name}.map");                                    // [tokens, 8, 8]
            for (var token = 0; token < shape[2]; token++)
            {
                var mean = Enumerable.Range(0, shape[3]).Select(latent => (float)Enumerable.Range(0, shape[0] * shape[1]).Average(head => (double)weights[(((head * shape[2]) + token) * shape[3]) + latent])).ToArray();
                var map = AttentionProjection.Map(new TokenAttention(0, TensorData.FromFloats(mean, shape[3])), resampling.Attention[0], patches: 64).Map;
                Assert.Equal([8, 8], map.Shape);
                Assert.Equal(maps.AsSpan(token * 64, 64).ToArray(), map.ToFloats(), (expected, actual) => Math.Abs(expected - actual) < 1e-4 * maps.Max());
                compared++;
            }
        }

        Assert.Equal(39, compared);
    }

    private static (float[] Values, int[] Shape) Read(SafetensorsFile file, string name) =>
        (MemoryMarshal.Cast<byte, float>(file.Read(file.Entries[name])).ToArray(), [.. file.Entries[name].Shape.Select(length => (int)length)]);
}
