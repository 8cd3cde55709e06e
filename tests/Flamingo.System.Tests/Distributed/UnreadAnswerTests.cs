using System.Diagnostics;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Fixtures.Attacks;
using Flamingo.Wire;
using Google.Protobuf;
using Grpc.Core;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// Callers that ask for long answers and never read them. They hold no permit, no place in the batch and little memory, and their
/// answers end after a time; other callers are answered meanwhile.
/// </summary>
public sealed class UnreadAnswerTests(Stack shared) : HostTests(shared)
{
    private const int Streams = 64; // as many as the gateway has permits

    [Fact(Timeout = 120_000)]
    public async Task Others_are_answered_and_a_late_reader_is_told_why_the_answer_ended()
    {
        var gateway = await StartGatewayAsync(options: ("Gateway__WriteStallTimeout", "00:00:02"));
        using var client = new FlamingoClient(gateway.Address);
        var clock = Stopwatch.StartNew();
        await client.CompleteAsync(LongAnswer.Prompt, Short, Cancellation);
        var longest = TimeSpan.FromSeconds(10) + (30 * clock.Elapsed); // a busy machine delays others without an attack too
        var before = gateway.Memory;
        await using var attacker = await RawHttpTwo.ConnectAsync(gateway.Port, window: 0);
        var streams = await AttackAsync(attacker);

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(longest);
        Assert.NotEmpty((await client.CompleteAsync(LongAnswer.Prompt, Short, patience.Token)).Text);

        await gateway.SaidAsync("its caller read nothing", lines: Streams);
        Assert.InRange(gateway.Memory - before, long.MinValue, 256 << 20);
        foreach (var stream in streams)
        {
            await attacker.OpenWindowAsync(stream, 1 << 20);
            Assert.Equal($"{(int)StatusCode.Aborted}", await attacker.StatusAsync(stream, Cancellation));
            Assert.Contains("Gateway:WriteStallTimeout", attacker.HeaderOf(stream, "grpc-message"), StringComparison.Ordinal);
        }

        // All permits and all places in the batch are free again.
        await Task.WhenAll(Enumerable.Range(0, Streams).Select(_ => client.CompleteAsync(LongAnswer.Prompt, Short, Cancellation)));
    }

    [Fact(Timeout = 120_000)]
    public async Task A_stream_that_is_never_read_is_reset()
    {
        var gateway = await StartGatewayAsync(
            options: [("Gateway__WriteStallTimeout", "00:00:01"), ("Endpoints__WriteTimeout", "00:00:02")]);
        await using var attacker = await RawHttpTwo.ConnectAsync(gateway.Port, window: 0);
        foreach (var stream in await AttackAsync(attacker))
        {
            Assert.Null(await attacker.StatusAsync(stream, Cancellation));
            Assert.Equal(0, attacker.BytesOf(stream));
        }

        Assert.False(attacker.IsClosed); // only the streams
        await gateway.SaidAsync("Its stream was reset", lines: Streams);
    }

    private static SamplingParameters Short => new() { MaxTokens = 4 };

    // Each answer is larger than what the server buffers of a stream (64 KiB).
    private static async Task<List<int>> AttackAsync(RawHttpTwo attacker)
    {
        var sampling = LongAnswer.Sampling with { MaxTokens = 500, LogProbabilities = 20 };
        var request = new FlamingoRequest(LongAnswer.Prompt.Segments, sampling).ToMessage().ToByteArray();
        var streams = new List<int>();
        for (var call = 0; call < Streams; call++)
        {
            streams.Add(await attacker.OpenAsync("/flamingo.v1.Flamingo/Generate"));
            await attacker.SendMessageAsync(streams[^1], request, cancellation: Cancellation);
        }

        return streams;
    }
}
