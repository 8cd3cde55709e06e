using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Fixtures.Reference;
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
/// Compares a family's golden values in f32: features, latents, logits of every prompt from the decoder in service and from its plain
/// reference implementation, greedy answers and log-likelihoods.
/// </summary>
internal static class FamilyCheck
{
    private const double Tolerance = 1e-4, RankTolerance = 1e-3;

    public static async Task RunAsync(
        string folder, string family, Dictionary<string, string?> settings, Report report, CancellationToken cancellation)
    {
        var golden = new FamilyGolden(folder);
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
        var (pixels, shape) = golden.Tensor("pixels");
        var (features, latents) = await thread.RunAsync(
            () => Compute(model, ModelRuntime.Device(options), pixels, [.. shape.Select(length => (long)length)]), cancellation);
        Add("features", ReferenceTensors.Error(golden.Tensor("features").Values, features));
        Add("latents", ReferenceTensors.Error(golden.Tensor("latents").Values, latents));

        var stage = (LanguageModelStage)provider.GetRequiredService<ILanguageModel>();
        var (plain, served) = (0.0, 0.0);
        foreach (var prompt in golden.Prompts)
        {
            var expected = golden.Logits(prompt).Values;
            var sequence = Sequence(golden, prompt, model.Config.Tokens);
            var logits = (await stage.Runner.LogitsAsync(sequence, cancellation)).ToFloats();
            plain = Math.Max(plain, ReferenceTensors.Error(expected, logits));
            var logitsInChunks = await ServedAsync(stage.Runner, sequence, cancellation);
            served = Math.Max(served, ReferenceTensors.Error(expected, logitsInChunks));
        }

        Add("logits", served);
        Add("logits_of_plain_twin", plain);
        await AnswersAsync(stage, family, golden, report, cancellation);

        void Add(string name, double error) => report.Add(new CheckLine(
            $"{family}_{name}", error, "relative error", "the original's, largest difference over the largest value, f32", Tolerance));
    }

    private static async Task AnswersAsync(
        LanguageModelStage stage, string family, FamilyGolden golden, Report report, CancellationToken cancellation)
    {
        var (different, answers, off, candidates) = (0, 0, 0.0, 0);
        foreach (var prompt in golden.Prompts)
        {
            var segments = golden.Segments(prompt);
            if (prompt.TryGetProperty("greedy", out var greedy))
            {
                var ids = new List<int>();
                var request = new LanguageModelRequest(segments, new SamplingParameters { MaxTokens = 12 });
                await foreach (var part in stage.GenerateAsync(request, cancellation))
                    if (part is AnswerTokens tokens) ids.AddRange(tokens.Ids);
                (different, answers) = (different + (ids.SequenceEqual(FamilyGolden.Ids(greedy.GetProperty("ids"))) ? 0 : 1), answers + 1);
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

    private static SequencePrompt Sequence(FamilyGolden golden, JsonElement prompt, TokensConfig tokens)
    {
        var ids = FamilyGolden.Ids(prompt.GetProperty("ids"));
        var pictures = FamilyGolden.Pictures(prompt);
        var latents = pictures.Distinct().ToDictionary(FamilyGolden.Key, picture => golden.Latents[picture]);
        return new SequencePrompt(ids, SeenPictures.Of(ids, tokens), [.. pictures.Select(FamilyGolden.Key)], latents, ids.Length);
    }
}
