using Flamingo.Abstractions;

namespace Flamingo.SystemTests.Compose;

/// <summary>Without Redis requests are slower, but they neither fail nor give wrong answers; a returning Redis is used again.</summary>
public sealed class RedisOutageTests(ComposeStack stack) : ComposeTest(stack)
{
    private readonly ExamplePrompt _example = ExamplePrompt.Read("comparison");

    [Fact(Timeout = 300_000)]
    public async Task A_stopped_redis_costs_no_answer_and_is_used_again_once_it_is_back()
    {
        using var client = await Stack.ConnectAsync(Cancellation);
        var known = _example.Fresh();
        await known.AskAsync(client, Cancellation);
        await Stack.WrittenAsync(client, known.Pictures, Cancellation); // proves that Redis is used

        await Stack.ComposeAsync(Cancellation, "stop", "--timeout", "5", "redis");
        for (var i = 0; i < 10; i++)
            Assert.All(await _example.Fresh().AskAsync(client, Cancellation), source => Assert.Equal(PictureSource.Encoded, source));
        Assert.All(await known.AskAsync(client, Cancellation), source => Assert.Equal(PictureSource.Memory, source));

        // A gateway that starts without Redis becomes ready too.
        await Stack.RestartGatewayAsync(Cancellation);
        using var restarted = await Stack.ConnectAsync(Cancellation);
        Assert.All(await known.AskAsync(restarted, Cancellation), source => Assert.Equal(PictureSource.Encoded, source));

        // The same gateway writes latents to the returned Redis, and reads them from it after a restart.
        await Stack.ComposeAsync(Cancellation, "start", "redis");
        var model = await restarted.GetModelAsync(Cancellation);
        await using var redis = await Stack.RedisAsync(Cancellation);
        ExamplePrompt asked;
        do
        {
            asked = _example.Fresh();
            await asked.AskAsync(restarted, Cancellation);
        }
        while (await redis.LatentsAsync(asked.Pictures.Last(), model, model.Vision.WeightsDigest) is null);

        await Stack.WrittenAsync(restarted, asked.Pictures, Cancellation);
        await Stack.RestartGatewayAsync(Cancellation);
        using var again = await Stack.ConnectAsync(Cancellation);
        Assert.All(await asked.AskAsync(again, Cancellation), source => Assert.Equal(PictureSource.Redis, source));
    }
}
