using System.Net;
using System.Net.Sockets;
using Flamingo.Abstractions;
using Flamingo.Fixtures;
using Flamingo.Testing;

namespace Flamingo.Client.Tests;

/// <summary>Tests one client of several gateways, some of which are down.</summary>
public sealed class SeveralGatewaysTests : IAsyncLifetime
{
    private ScriptedGateway _one = null!, _other = null!;

    public async ValueTask InitializeAsync() => (_one, _other) = (await ScriptedGateway.StartAsync(), await ScriptedGateway.StartAsync());

    public async ValueTask DisposeAsync()
    {
        await _one.DisposeAsync();
        await _other.DisposeAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Calls_go_to_all_in_turn_by_their_own_names_and_a_picture_is_sent_where_it_is_missed()
    {
        using var client = Client(_one.Address, _other.Address);
        var prompt = new Prompt().Picture(new byte[] { 1 }).Text("x");
        await AskUntilAsync(() => !_one.Asked.IsEmpty && !_other.Asked.IsEmpty,
            () => client.CompleteAsync(prompt, cancellation: TestContext.Current.CancellationToken));
        _one.Asked.Clear();
        _other.Asked.Clear();
        for (var call = 0; call < 4; call++) await client.CompleteAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal((2, 2), (_one.Asked.Count, _other.Asked.Count));
        // each gateway holds the picture now
        Assert.All(_one.Asked.Concat(_other.Asked), asked => Assert.IsType<FlamingoPictureId>(((FlamingoRequest)asked).Segments[0]));
        Assert.All(_one.Hosts, host => Assert.Equal(new Uri(_one.Address).Authority, host));
        Assert.All(_other.Hosts, host => Assert.Equal(new Uri(_other.Address).Authority, host));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_gateway_that_was_never_there_is_left_out()
    {
        using var client = Client($"http://localhost:{FreePort.Next()}", _one.Address);
        for (var call = 0; call < 10; call++)
            Assert.Equal("a dog", (await client.CompleteAsync(new Prompt().Text("x"),
                cancellation: TestContext.Current.CancellationToken)).Text);
        Assert.Equal(10, _one.Asked.Count);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_gateway_that_dies_is_survived_by_calls_and_streams()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var client = Client(_one.Address, _other.Address);
        var large = new Prompt().Picture(new byte[3 << 20]).Text("x"); // larger than the message that gRPC buffers for a retry by default
        await AskUntilAsync(() => !_one.Asked.IsEmpty && !_other.Asked.IsEmpty,
            () => client.CompleteAsync(large, cancellation: cancellation));
        await _one.StopAsync();
        _other.Asked.Clear();
        for (var call = 0; call < 5; call++)
        {
            Assert.Equal("a dog", (await client.CompleteAsync(large, cancellation: cancellation)).Text);
            Assert.Single((await client.RankAsync(large, ["y"], cancellation)).Candidates);
            Assert.Single((await client.EncodeAsync([new byte[] { (byte)call }], cancellation: cancellation)).Pictures);
            Assert.NotEmpty(await client.SupportSets.ListAsync(cancellation));
        }

        Assert.InRange(_other.Asked.Count, 20, 22); // 20 to 22 calls, because a picture that only the dead gateway held is sent again
    }

    [Fact(Timeout = 60_000)]
    public async Task A_stream_that_has_begun_ends_with_its_gateway()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var client = Client(_one.Address, _other.Address);
        _one.Breaks = _other.Breaks = new FlamingoException(FlamingoErrorKind.Unavailable, "died");
        var tokens = 0;
        var broken = await Assert.ThrowsAsync<FlamingoException>(async () =>
        {
            await foreach (var item in client.GenerateAsync(new Prompt().Text("x"), cancellation: cancellation))
                tokens += item is AnswerTokens ? 1 : 0;
        });
        Assert.Equal((FlamingoErrorKind.Unavailable, 1, 1), (broken.Kind, tokens, _one.Asked.Count + _other.Asked.Count));
    }

    [Fact(Timeout = 60_000)]
    public async Task What_would_meet_its_own_first_time_is_not_tried_again()
    {
        using var client = Client(_one.Address, _other.Address);
        _one.Refusal = _other.Refusal = new FlamingoException(FlamingoErrorKind.Unavailable, "The store is down.");
        await Assert.ThrowsAsync<FlamingoException>(
            () => client.SupportSets.PutAsync("words", [(new byte[] { 1 }, "a dog")], cancellation: TestContext.Current.CancellationToken));
        Assert.Equal(1, _one.Asked.Count + _other.Asked.Count);
    }

    [Fact(Timeout = 60_000)]
    public async Task All_gone_is_unavailable()
    {
        using var client = Client($"http://localhost:{FreePort.Next()}", $"http://localhost:{FreePort.Next()}");
        Assert.Equal(FlamingoErrorKind.Unavailable,
            (await Assert.ThrowsAsync<FlamingoException>(
                () => client.CompleteAsync(new Prompt().Text("x"), cancellation: TestContext.Current.CancellationToken))).Kind);
    }

    /// <summary>
    /// A container's published port behaves like this while its service restarts: it accepts the connection and closes it, which
    /// gRPC sometimes reports as INTERNAL.
    /// </summary>
    [Fact(Timeout = 60_000)]
    public async Task A_port_that_takes_connections_and_closes_them_is_unavailable_every_time()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var closing = CloseAllAsync();
        using (var client = new FlamingoClient($"http://localhost:{((IPEndPoint)listener.LocalEndpoint).Port}"))
        {
            for (var call = 0; call < 200; call++)
                Assert.Equal(FlamingoErrorKind.Unavailable,
                    (await Assert.ThrowsAsync<FlamingoException>(() => client.GetModelAsync(TestContext.Current.CancellationToken))).Kind);
        }

        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => closing);

        async Task CloseAllAsync()
        {
            while (true)
            {
                using var taken = await listener.AcceptSocketAsync(stop.Token);
                await taken.ReceiveAsync(new byte[1 << 16], stop.Token);
            }
        }
    }

    [Fact]
    public void Addresses_that_make_no_channel_are_refused()
    {
        foreach (string[] wrong in new[] { [], ["http://a:1", "b:2"], new[] { "ftp://a:1" } })
            Assert.Throws<ArgumentException>(() => Client(wrong));
    }

    private static FlamingoClient Client(params string[] addresses) => new(new FlamingoClientOptions { Addresses = addresses });

    private static async Task AskUntilAsync(Func<bool> reached, Func<Task> ask)
    {
        for (var call = 0; call < 200 && !reached(); call++) await ask();
        Assert.True(reached(), "200 calls were not balanced.");
    }
}
