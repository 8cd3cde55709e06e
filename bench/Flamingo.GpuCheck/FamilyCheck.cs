using System.Security.Cryptography;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using Flamingo.Resampler.Network;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Network;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using static TorchSharp.torch;

namespace Flamingo.GpuCheck;

/// <summary>
/// One family's goldens in f32: features, latents, logits of every prompt by the path that serves and by its plain twin, greedy answers
/// and log-likelihoods.
/// </summary>
internal static class FamilyCheck
{
    private const double Tolerance = 1e-4, RankTolerance = 1e-3;

    public static async Task RunAsync(
        string folder, string family, Dictionary<string, string?> settings, Report report, CancellationToken cancellation)
    {
        using var golden = SafetensorsFile.Open(Path.Combine(folder, "golden.safetensors"));
        using var json = JsonDocument.Parse(await File.ReadAllBytesAsync(Path.Combine(folder, "golden.json"), cancellation));
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection(Check.With(settings,
        [
            ("Model:Directory", Path.Combine(folder, "model")),
            ("LanguageModel:KvCacheBytes", "16777216"),
            ("LanguageModel:PictureMemoryBytes", "16777216"),
        ])).Build());
        services.AddLogging().AddLanguageModelStage();
        await using var provider = services.BuildServiceProvider();
        var model = provider.GetRequiredService<ModelDirectory>();
        var thread = provider.GetRequiredService<InferenceThread>();
        var options = provider.GetRequiredService<IOptions<ModelOptions>>().Value;
        var (features, latents) = await thread.RunAsync(
            () => Compute(model, ModelRuntime.Device(options), Floats(golden, "pixels"), Shape(golden, "pixels")), cancellation);
        Add("features", Error(Floats(golden, "features"), features));
        Add("latents", Error(Floats(golden, "latents"), latents));

        var stage = (LanguageModelStage)provider.GetRequiredService<ILanguageModel>();
        var pictures = Pictures(golden);
        var prompts = json.RootElement.GetProperty("prompts").EnumerateArray().ToList();
        var (plain, served) = (0.0, 0.0);
        foreach (var prompt in prompts)
        {
            var expected = Floats(golden, $"logits.{prompt.GetProperty("name").GetString()}");
            var sequence = Sequence(prompt, pictures, model.Config.Tokens);
            plain = Math.Max(plain, Error(expected, (await stage.Runner.LogitsAsync(sequence, cancellation)).ToFloats()));
            served = Math.Max(served, Error(expected, await ServedAsync(stage.Runner, sequence, cancellation)));
        }

        Add("logits", served);
        Add("logits_of_plain_twin", plain);
        await AnswersAsync(stage, family, prompts, pictures, report, cancellation);

        void Add(string name, double error) => report.Add(new CheckLine(
            $"{family}_{name}", error, "relative error", "the original's, largest difference over the largest value, f32", Tolerance));
    }

    private static async Task AnswersAsync(
        LanguageModelStage stage, string family, List<JsonElement> prompts, TensorData[] pictures, Report report,
        CancellationToken cancellation)
    {
        var (different, answers, off, candidates) = (0, 0, 0.0, 0);
        foreach (var prompt in prompts)
        {
            PromptSegment[] segments =
            [
                .. prompt.GetProperty("segments").EnumerateArray().Select(segment => segment.TryGetProperty("picture", out var picture)
                    ? (PromptSegment)new PictureSegment(
                        Key(pictures[picture.GetInt32()]), ChecksummedLatents.Of(pictures[picture.GetInt32()]))
                    : new TextSegment(segment.GetProperty("text").GetString()!)),
            ];
            if (prompt.TryGetProperty("greedy", out var greedy))
            {
                var ids = new List<int>();
                var request = new LanguageModelRequest(segments, new SamplingParameters { MaxTokens = 12 });
                await foreach (var part in stage.GenerateAsync(request, cancellation))
                    if (part is TokensGenerated tokens) ids.AddRange(tokens.Ids);
                (different, answers) = (different + (ids.SequenceEqual(Ids(greedy.GetProperty("ids"))) ? 0 : 1), answers + 1);
            }

            if (!prompt.TryGetProperty("rank", out var rank)) continue;
            var expected = rank.EnumerateArray().ToList();
            string[] texts = [.. expected.Select(candidate => candidate.GetProperty("text").GetString()!)];
            var ranking = await stage.RankAsync(new RankRequest(segments, texts), cancellation);
            foreach (var (wanted, found) in expected.Zip(ranking.Candidates))
            {
                var likelihoods = wanted.GetProperty("token_log_likelihoods").EnumerateArray().Select(value => value.GetDouble()).ToArray();
                off = Math.Max(off, likelihoods.Zip(found.TokenLogLikelihoods, (left, right) => Math.Abs(left - right)).Max());
                candidates++;
            }
        }

        if (answers > 0)
        {
            report.Add(new CheckLine(
                $"{family}_greedy_answers_that_differ", different, "answers",
                $"the original's {answers} greedy answers, f32, id for id", 0));
        }

        if (candidates > 0)
        {
            report.Add(new CheckLine(
                $"{family}_log_likelihoods", off, "nats",
                $"the original's, largest difference over {candidates} candidates, f32", RankTolerance));
        }
    }

    private static (float[] Features, float[] Latents) Compute(ModelDirectory model, Device device, float[] pixels, long[] shape)
    {
        using var visionFile = model.OpenWeights("vision");
        using var resamplerFile = model.OpenWeights("resampler");
        var visionWeights = new WeightsReader(visionFile, device, ScalarType.Float32);
        var resamplerWeights = new WeightsReader(resamplerFile, device, ScalarType.Float32);
        using var vision = new VisionTransformer(model.Config.Vision, visionWeights);
        using var resampler = new PerceiverResampler(model.Config.Resampler, resamplerWeights);
        visionWeights.Finish();
        resamplerWeights.Finish();
        var (features, _) = vision.Forward(tensor(pixels, device: CPU).view(shape).to(device));             // [pictures, patches, width]
        var latents = resampler.Forward(features.unsqueeze(1).unsqueeze(1));                                // [pictures, 1, latents, width]
        return (features.ToData(TensorDtype.Float32).ToFloats(), latents.ToData(TensorDtype.Float32).ToFloats());
    }

    // Runs a prompt in chunks of eleven, so that each step reads what earlier steps wrote. This comes before any answer is asked for,
    // so that the engine holds no blocks yet.
    private static async Task<float[]> ServedAsync(TorchModelRunner runner, SequencePrompt prompt, CancellationToken cancellation)
    {
        var keys = prompt.Latents.Keys.ToList();
        var logits = new List<float>();
        var projections = keys.Select((key, slot) => new Projection(slot, prompt.Latents[key])).ToList();
        await runner.RunAsync(new ScheduledBatch(projections, [], []), cancellation);
        for (var (start, most) = (0, 11); start < prompt.Ids.Count; start += most)
        {
            var count = Math.Min(most, prompt.Ids.Count - start);
            var chunk = new ScheduledChunk(
                [.. prompt.Ids.Skip(start).Take(count)],
                start,
                [.. Enumerable.Range(0, (prompt.Ids.Count / runner.Memory.BlockTokens) + 1)],
                [.. prompt.Pictures.Skip(start).Take(count).Select(picture => picture < 0 ? -1 : keys.IndexOf(prompt.Keys[picture]))])
            {
                LogitRows = count,
            };
            foreach (var row in (await runner.RunAsync(new ScheduledBatch([], [], [chunk]), cancellation))[0].Logits) logits.AddRange(row);
        }

        return [.. logits];
    }

    private static SequencePrompt Sequence(JsonElement prompt, TensorData[] pictures, TokensConfig tokens)
    {
        var ids = Ids(prompt.GetProperty("ids"));
        var keys = prompt.GetProperty("segments").EnumerateArray()
            .Where(segment => segment.TryGetProperty("picture", out _))
            .Select(segment => Key(pictures[segment.GetProperty("picture").GetInt32()])).ToList();
        var latents = pictures.DistinctBy(Key).Where(picture => keys.Contains(Key(picture))).ToDictionary(Key);
        return new SequencePrompt(ids, SeenPictures.Of(ids, tokens), keys, latents, ids.Length);
    }

    private static TensorData[] Pictures(SafetensorsFile golden)
    {
        var (values, shape) = (Floats(golden, "latents"), Shape(golden, "latents"));
        var size = (int)(shape[1] * shape[2]);
        return [.. Enumerable.Range(0, (int)shape[0]).Select(picture =>
            TensorData.FromFloats(values.AsSpan(picture * size, size), (int)shape[1], (int)shape[2]))];
    }

    private static string Key(TensorData latents) => Convert.ToHexStringLower(SHA256.HashData(latents.Bytes.Span));

    private static int[] Ids(JsonElement ids) => [.. ids.EnumerateArray().Select(id => id.GetInt32())];

    private static float[] Floats(SafetensorsFile file, string name) =>
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(file.Read(file.Entries[name])).ToArray();

    private static long[] Shape(SafetensorsFile file, string name) => [.. file.Entries[name].Shape];

    private static double Error(float[] expected, float[] actual)
    {
        if (expected.Length != actual.Length || actual.Any(value => !float.IsFinite(value))) return double.PositiveInfinity;
        return expected.Zip(actual, (left, right) => Math.Abs((double)left - right)).Max() / expected.Max(Math.Abs);
    }
}
