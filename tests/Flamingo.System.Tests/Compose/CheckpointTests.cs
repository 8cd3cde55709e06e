using Flamingo.Abstractions;
using Flamingo.SystemTests.Embedded;

namespace Flamingo.SystemTests.Compose;

/// <summary>
/// A vision encoder that starts with another checkpoint, as in a rolling update, must never store its latents under the old key.
/// </summary>
public sealed class CheckpointTests(ComposeStack stack) : ComposeTest(stack)
{
    private readonly ExamplePrompt _example = ExamplePrompt.Read("comparison");

    [Fact(Timeout = 300_000)]
    public async Task A_replica_on_another_checkpoint_leaves_nothing_under_the_old_key()
    {
        var (other, original) = (await DigestAsync(Stack.OtherModel), await DigestAsync(Testing.RepositoryFiles.Path("models", "shapes")));
        Assert.NotEqual(original, other);
        using var client = await Stack.ConnectAsync(Cancellation);
        var model = await client.GetModelAsync(Cancellation);
        Assert.Equal(original, model.Vision.WeightsDigest);
        var truth = _example.Fresh();
        await truth.AskAsync(client, Cancellation);
        await Stack.WrittenAsync(client, truth.Pictures, Cancellation);

        // One of two replicas is replaced, so the gateway calls both checkpoints in alternation.
        await Stack.ComposeAsync(Cancellation, "up", "--no-build", "--no-recreate", "--wait", "--scale", "vision-encoder=1", "--scale",
            "language-model=2", "--scale", "vision-encoder-other=1");
        var asked = new List<ExamplePrompt>();
        var answeredBy = new Dictionary<string, int> { [original] = 0, [other] = 0 };
        await ComposeStack.EventuallyAsync("both checkpoints answered a number of times", async () =>
        {
            var prompts = Enumerable.Range(0, 4).Select(_ => _example.Fresh()).ToList();
            asked.AddRange(prompts);
            foreach (var answer in await Task.WhenAll(
                prompts.Select(prompt => client.CompleteAsync(prompt.ToPrompt(), ExamplePrompt.Greedy, Cancellation))))
            {
                answeredBy[answer.Finished.Digests.Vision]++;
                if (answer.Finished.Digests.Vision == original) Assert.Equal(_example.Text, answer.Text);
            }

            return answeredBy.Values.All(answers => answers >= 10);
        }, Cancellation);

        await Stack.RestoreAsync(Cancellation);
        await ComposeStack.EventuallyAsync("the original checkpoint alone is described", async () =>
        {
            await client.CompleteAsync(_example.Fresh().ToPrompt(), ExamplePrompt.Greedy, Cancellation);
            return (await client.GetModelAsync(Cancellation)).Vision.WeightsDigest == original;
        }, Cancellation);

        // The latents in the gateway and in Redis, and all answers, must be those of the original checkpoint.
        await HoldsAsync(asked, truth, model, original, other);
        foreach (var prompt in asked) await prompt.AskAsync(client, Cancellation);
        await Stack.RestartGatewayAsync(Cancellation);
        using var restarted = await Stack.ConnectAsync(Cancellation);
        var sources = new List<PictureSource>();
        foreach (var prompt in asked) sources.AddRange(await prompt.AskAsync(restarted, Cancellation));
        Assert.Contains(PictureSource.Redis, sources);
    }

    /// <summary>
    /// Checks that every latent stored under the original checkpoint's key was computed by the original checkpoint, and that
    /// the latents under the other checkpoint's key differ from them.
    /// </summary>
    private async Task HoldsAsync(IReadOnlyList<ExamplePrompt> asked, ExamplePrompt truth, FlamingoModel model, string original,
        string other)
    {
        await using var redis = await Stack.RedisAsync(Cancellation);
        var (originals, others) = (0, 0);
        foreach (var (picture, same) in asked.SelectMany(prompt => prompt.Pictures.Zip(truth.Pictures)))
        {
            var expected = (await redis.LatentsAsync(same, model, original))!;
            if (await redis.LatentsAsync(picture, model, original) is { } kept)
            {
                originals++;
                Assert.InRange(Difference(kept, expected), 0, 1e-4);
            }

            if (await redis.LatentsAsync(picture, model, other) is { } strange)
            {
                others++;
                // the latents of both checkpoints differ enough for this test to tell them apart
                Assert.InRange(Difference(strange, expected), 1e-2, double.MaxValue);
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{asked.Count} prompts: {originals} latents kept under the original's key, "
            + $"{others} under the other's.");
        Assert.InRange(originals, 1, int.MaxValue);
        Assert.InRange(others, 1, int.MaxValue);
    }

    /// <summary>The largest difference relative to the largest absolute value.</summary>
    private static double Difference(float[] latents, float[] expected) =>
        latents.Zip(expected).Max(pair => Math.Abs(pair.First - pair.Second)) / expected.Max(Math.Abs);

    private static async Task<string> DigestAsync(string model)
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync(model);
        return (await embedded.VisionEncoder.DescribeAsync(Cancellation)).WeightsDigest;
    }
}
