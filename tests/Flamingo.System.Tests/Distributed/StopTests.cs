using Flamingo.Abstractions;
using Flamingo.Client;
using Grpc.Core;

namespace Flamingo.SystemTests.Distributed;

/// <summary>After SIGTERM running requests may finish within a time limit.</summary>
public sealed class StopTests(Stack shared) : HostTests(shared)
{
    [Fact(Timeout = 120_000)]
    public async Task An_answer_under_way_is_finished_before_the_end()
    {
        var language = await StartReadyAsync("LanguageModel", null, ("Endpoints__DrainTimeout", "00:01:30"));
        var gateway = await StartGatewayAsync(language: language.Port, options: ("Endpoints__DrainTimeout", "00:01:30"));
        using var answer = new LongAnswer(gateway.Address);
        await answer.Begun;
        language.AskToStop();
        gateway.AskToStop();
        await language.SaidAsync("shutting down");
        await gateway.SaidAsync("shutting down");
        Assert.InRange(answer.Received, 1, LongAnswer.Tokens - 1); // the answer was incomplete
        Assert.Equal(LongAnswer.Tokens, (await answer.Finished).GeneratedTokens);
        Assert.Equal(LongAnswer.Tokens, answer.Received);
        Assert.Equal(0, await gateway.ExitAsync());
        Assert.Equal(0, await language.ExitAsync());
    }

    [Fact(Timeout = 120_000)]
    public async Task An_answer_longer_than_the_drain_is_cut_off()
    {
        var gateway = await StartGatewayAsync(options: ("Endpoints__DrainTimeout", "00:00:00"));
        using var answer = new LongAnswer(gateway.Address);
        await answer.Begun;
        gateway.AskToStop();
        await Assert.ThrowsAsync<RpcException>(() => answer.Finished);
        Assert.Equal(0, await gateway.ExitAsync());
        Assert.InRange(answer.Received, 1, LongAnswer.Tokens - 1);

        // the language model got the cancellation and is free
        using var client = new FlamingoClient(Shared.Gateway.Address);
        Assert.Single((await client.CompleteAsync(LongAnswer.Prompt, new() { MaxTokens = 1 }, Cancellation)).Ids);
    }
}
