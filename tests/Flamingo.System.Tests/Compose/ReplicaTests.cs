using Flamingo.Abstractions;
using Flamingo.Client;

namespace Flamingo.SystemTests.Compose;

/// <summary>Replicas share the load, no request fails when a replica dies, and replicas are replaced.</summary>
public sealed class ReplicaTests(ComposeStack stack) : ComposeTest(stack)
{
    private const string Generate = "flamingo.v1.LanguageModel/Generate";
    private const string Encode = "flamingo.v1.VisionEncoder/Encode";
    private readonly ExamplePrompt _example = ExamplePrompt.Read("vqa");

    [Fact(Timeout = 300_000)]
    public async Task Both_replicas_of_a_stage_serve()
    {
        using var client = await Stack.ConnectAsync(Cancellation);
        await AllServeAsync(client, "vision-encoder", Encode);
        await AllServeAsync(client, "language-model", Generate);
    }

    [Theory(Timeout = 300_000)]
    [InlineData("vision-encoder", Encode), InlineData("language-model", Generate)]
    public async Task Calls_that_a_dead_replica_took_are_answered_by_the_other_and_a_new_one_is_found(string service, string method)
    {
        using var client = await Stack.ConnectAsync(Cancellation);
        await AllServeAsync(client, service, method);
        var replicas = await Stack.ContainersAsync(service, Cancellation);

        // A paused replica accepts calls but does not answer, so half of these calls wait for it when it is killed.
        await DockerCommand.RunAsync(Cancellation, "exec", replicas[0], "sh", "-c", "kill -STOP -1");
        var asked = Enumerable.Range(0, 8).Select(_ => _example.Fresh().AskAsync(client, Cancellation)).ToList();
        await Task.WhenAny(asked);
        var waiting = asked.Count(request => !request.IsCompleted);
        await DockerCommand.RunAsync(Cancellation, "kill", replicas[0]);
        Assert.InRange(waiting, 1, 7);
        await Task.WhenAll(asked);
        await _example.Fresh().AskAsync(client, Cancellation); // the remaining replica answers

        await DockerCommand.RunAsync(Cancellation, "rm", replicas[0]);
        await Stack.RestoreAsync(Cancellation);
        var now = await Stack.ContainersAsync(service, Cancellation);
        Assert.Equal(2, now.Count);
        Assert.DoesNotContain(replicas[0], now);
        await AllServeAsync(client, service, method);
    }

    [Fact(Timeout = 300_000)]
    public async Task Under_load_only_a_stream_that_had_begun_ends_unavailable_when_its_replica_is_killed()
    {
        using var client = await Stack.ConnectAsync(Cancellation);
        await using var load = new Load(client, _example, workers: 6, Cancellation);
        await ComposeStack.EventuallyAsync("every kind of request is answered", () => load.HasAnsweredAsync(20, 10), Cancellation);

        await DockerCommand.RunAsync(Cancellation, "kill", (await Stack.ContainersAsync("language-model", Cancellation))[0]);
        await DockerCommand.RunAsync(Cancellation, "kill", (await Stack.ContainersAsync("vision-encoder", Cancellation))[0]);
        var (streams, rankings) = (load.Streams, load.Rankings);
        await ComposeStack.EventuallyAsync("the load goes on", () => load.HasAnsweredAsync(streams + 40, rankings + 20), Cancellation);
        await load.StopAsync();

        Assert.All(load.Failures, failure =>
            Assert.True(failure.Begun && failure.Kind == FlamingoErrorKind.Unavailable, failure.ToString()));
        TestContext.Current.TestOutputHelper?.WriteLine($"{load.Streams} streams and {load.Rankings} rankings answered, "
            + $"{load.Failures.Count} begun streams UNAVAILABLE.");
    }

    [Fact(Timeout = 300_000)]
    public async Task Prompts_that_begin_alike_go_where_their_beginning_is_computed()
    {
        using var client = await Stack.ConnectAsync(Cancellation);
        var (example, replicas) = (ExamplePrompt.Read("new-word"), await Stack.ContainersAsync("language-model", Cancellation));
        var before = await Task.WhenAll(replicas.Select(replica => ComposeStack.ServedAsync(replica, Generate, Cancellation)));
        for (var conversation = 0; conversation < 10; conversation++)
        {
            var first = example.Fresh();
            var cold = (await client.CompleteAsync(first.ToPrompt(), ExamplePrompt.Greedy, Cancellation)).Finished;
            Assert.Equal(0, cold.CachedTokens);
            // The same shots with another last picture. On the other replica nothing of this prompt would be cached.
            var next = first with { Segments = [.. first.Segments.SkipLast(2), .. first.Fresh().Segments.TakeLast(2)] };
            var warm = (await client.CompleteAsync(next.ToPrompt(), ExamplePrompt.Greedy, Cancellation)).Finished;
            Assert.InRange(warm.CachedTokens, warm.PromptTokens - 24, warm.PromptTokens - 1);
        }

        var after = await Task.WhenAll(replicas.Select(replica => ComposeStack.ServedAsync(replica, Generate, Cancellation)));
        // ten different prefixes are spread over both replicas
        Assert.All(after.Zip(before), count => Assert.True(count.First > count.Second));
    }

    private async Task AllServeAsync(FlamingoClient client, string service, string method)
    {
        var replicas = await Stack.ContainersAsync(service, Cancellation);
        Assert.Equal(2, replicas.Count);
        var before = await CountAsync();
        await ComposeStack.EventuallyAsync($"both replicas of {service} serve", async () =>
        {
            await _example.Fresh().AskAsync(client, Cancellation);
            return (await CountAsync()).Zip(before).All(count => count.First > count.Second);
        }, Cancellation);

        Task<int[]> CountAsync() => Task.WhenAll(replicas.Select(replica => ComposeStack.ServedAsync(replica, method, Cancellation)));
    }
}
