using System.Runtime.InteropServices;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Gateway.Attention;
using Flamingo.Stages;
using Flamingo.SystemTests.Embedded;
using Flamingo.SystemTests.Episodes;

namespace Flamingo.SystemTests.Attention;

/// <summary>
/// From PNG files to the original's maps: vision encoder, resampler and projection, with the original's own weights over latents.
/// </summary>
public sealed class AttentionMapTests
{
    [Fact(Timeout = 120_000)]
    public async Task Maps_of_the_trained_model_are_the_originals()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync();
        using var golden = SafetensorsFile.Open(Episode.Evaluation("golden_attention.safetensors"));
        using var prompts = JsonDocument.Parse(
            await File.ReadAllBytesAsync(Episode.Evaluation("golden_attention.json"), TestContext.Current.CancellationToken));
        var compared = 0;
        foreach (var prompt in prompts.RootElement.EnumerateArray())
        {
            var name = $"episode{prompt.GetProperty("episode").GetInt32()}";
            var picture = await File.ReadAllBytesAsync(
                Episode.Evaluation("pictures", prompt.GetProperty("pictures").EnumerateArray().Last().GetString()!),
                TestContext.Current.CancellationToken);
            var encoding = await embedded.VisionEncoder.EncodeAsync(new VisionEncodeRequest([VisualInput.Still(picture)]),
                TestContext.Current.CancellationToken);
            var resampling = await embedded.Resampler.ResampleAsync(
                new ResampleRequest([encoding.Pictures[0].Features], IncludeAttention: true), TestContext.Current.CancellationToken);

            var (weights, shape) = Read(golden, $"{name}.cross_attention");                 // [layers, heads, tokens, latents]
            var (maps, _) = Read(golden, $"{name}.map");                                    // [tokens, 8, 8]
            for (var token = 0; token < shape[2]; token++)
            {
                var mean = Mean(weights, shape, token);
                var map = AttentionProjection.Map(new TokenAttention(0, TensorData.FromFloats(mean, shape[3])), resampling.Attention[0],
                    patches: 64).Map!;
                Assert.Equal([8, 8], map.Shape);
                Assert.Equal(maps.AsSpan(token * 64, 64).ToArray(), map.ToFloats(),
                    (expected, actual) => Math.Abs(expected - actual) < 1e-4 * maps.Max());
                compared++;
            }
        }

        Assert.Equal(39, compared);
    }

    /// <summary>
    /// The whole way: pictures and text in, an answer out, and for each of its tokens what the position that chose it looked at.
    /// </summary>
    [Fact(Timeout = 120_000)]
    public async Task Answers_bring_the_originals_maps_and_weights()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync();
        using var golden = SafetensorsFile.Open(Episode.Evaluation("golden_attention.safetensors"));
        using var prompts = JsonDocument.Parse(
            await File.ReadAllBytesAsync(Episode.Evaluation("golden_attention.json"), TestContext.Current.CancellationToken));
        var compared = 0;
        foreach (var prompt in prompts.RootElement.EnumerateArray())
        {
            var name = $"episode{prompt.GetProperty("episode").GetInt32()}";
            var (weights, shape) = Read(golden, $"{name}.cross_attention");                 // [layers, heads, tokens, latents]
            var (maps, _) = Read(golden, $"{name}.map");                                    // [tokens, 8, 8]
            var pictures = prompt.GetProperty("pictures").EnumerateArray()
                .Select(file => File.ReadAllBytes(Episode.Evaluation("pictures", file.GetString()!))).ToList();
            var (ids, seen) = (new List<int>(), new List<TokenAttention?>());
            AnswerFinished? finished = null;
            await foreach (var item in embedded.Flamingo.GenerateAsync(
                new FlamingoRequest(Question(prompt.GetProperty("text").GetString()!, pictures),
                    new() { MaxTokens = 14 }) { Attention = new([], []) }, TestContext.Current.CancellationToken))
            {
                if (item is AnswerTokens tokens)
                {
                    ids.AddRange(tokens.Ids);
                    seen.AddRange(tokens.Attention);
                }

                finished = item as AnswerFinished;
            }

            // The golden attention belongs to a fixed answer, so it is compared only while our answer has the same tokens.
            Assert.Equal(ids.Count, seen.Count);
            var answer = prompt.GetProperty("ids").EnumerateArray().Skip(finished!.PromptTokens).Select(id => id.GetInt32());
            var same = ids.Zip(answer).TakeWhile(pair => pair.First == pair.Second).Count();
            var first = finished.PromptTokens - 1 - prompt.GetProperty("first_token").GetInt32();
            foreach (var (index, map) in seen.Take(same + 1).Index())
            {
                var row = first + index;
                var mean = Mean(weights, shape, row);
                Assert.Equal(pictures.Count - 1, map!.Picture);
                Assert.Equal(mean, map.Weights.ToFloats(), (expected, actual) => Math.Abs(expected - actual) < 1e-4);
                Assert.Equal(maps.AsSpan(row * 64, 64).ToArray(), map.Map!.ToFloats(),
                    (expected, actual) => Math.Abs(expected - actual) < 1e-4 * maps.Max());
                compared++;
            }
        }

        Assert.Equal(26, compared);
    }

    /// <param name="weights">[layers, heads, tokens, latents]</param>
    /// <returns>The weights [latents] of one token, the mean over layers and heads.</returns>
    private static float[] Mean(float[] weights, int[] shape, int token) =>
        [.. Enumerable.Range(0, shape[3])
            .Select(latent =>
                (float)Enumerable.Range(0, shape[0] * shape[1])
                    .Average(head => (double)weights[(((head * shape[2]) + token) * shape[3]) + latent]))];

    // the text of the golden prompt without its answer
    private static List<FlamingoSegment> Question(string text, IReadOnlyList<byte[]> pictures)
    {
        var cue = new[] { "Output:", "This is a" }.First(cue => text.Contains(cue, StringComparison.Ordinal));
        var question = text[..(text.LastIndexOf(cue, StringComparison.Ordinal) + cue.Length)];
        return [.. question.Split("<image>").Skip(1).Zip(pictures)
            .SelectMany(part => new FlamingoSegment[] { new FlamingoPicture(part.Second), new FlamingoText(part.First) })];
    }

    private static (float[] Values, int[] Shape) Read(SafetensorsFile file, string name) =>
        (MemoryMarshal.Cast<byte, float>(file.Read(file.Entries[name])).ToArray(),
            [.. file.Entries[name].Shape.Select(length => (int)length)]);
}
