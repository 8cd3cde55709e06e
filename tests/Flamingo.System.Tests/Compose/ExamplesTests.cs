using Flamingo.Abstractions;

namespace Flamingo.SystemTests.Compose;

/// <summary>The stack answers as the original code did, and encodes a picture once.</summary>
public sealed class ExamplesTests(ComposeStack stack) : ComposeTest(stack)
{
    [Fact(Timeout = 300_000)]
    public async Task Pictures_are_encoded_once_then_come_from_memory_and_after_a_restart_from_redis()
    {
        var examples = new[] { "new-word", "vqa", "comparison", "caption" }.Select(ExamplePrompt.Read).ToList();
        Assert.Equal([9, 2, 2, 1], examples.Select(example => example.Pictures.Count()));
        using (var client = await Stack.ConnectAsync(Cancellation))
        {
            foreach (var example in examples)
            {
                Assert.All(await example.AskAsync(client, Cancellation), source => Assert.Equal(PictureSource.Encoded, source));
                Assert.All(await example.AskAsync(client, Cancellation), source => Assert.Equal(PictureSource.Memory, source));
                await Stack.WrittenAsync(client, example.Pictures, Cancellation);
            }
        }

        await Stack.RestartGatewayAsync(Cancellation);
        using var after = await Stack.ConnectAsync(Cancellation);
        foreach (var example in examples)
        {
            Assert.All(await example.AskAsync(after, Cancellation), source => Assert.Equal(PictureSource.Redis, source));
            Assert.All(await example.AskAsync(after, Cancellation), source => Assert.Equal(PictureSource.Memory, source));

            // by id, without sending the pictures
            var prompt = new Prompt();
            foreach (var (picture, text) in example.Segments) _ =
                picture is null ? prompt.Text(text!) : prompt.PictureId(PictureId.Of(picture));
            Assert.Equal(example.Text, (await after.CompleteAsync(prompt, ExamplePrompt.Greedy, Cancellation)).Text);
        }
    }
}
