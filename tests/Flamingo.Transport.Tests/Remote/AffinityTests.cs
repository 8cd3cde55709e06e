using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Tests.Serving;
using Grpc.Net.Client.Balancer;

namespace Flamingo.Transport.Tests.Remote;

/// <summary>Tests the placement of calls with two language models on real ports and one channel to both.</summary>
public sealed class AffinityTests : IAsyncLifetime
{
    private const int Limit = 60_000;
    private const int Spill = 3;

    private readonly ConcurrentQueue<(int Server, string Text)> _asked = new();
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<LoopbackServer> _servers = [];
    private StageChannel _channel = null!;
    private RemoteLanguageModel _model = null!;
    private int _refusals;

    private int Load => _servers.Sum(server => _channel.Replicas.At($"127.0.0.1:{server.Port}"));

    public async ValueTask InitializeAsync()
    {
        for (var server = 0; server < 2; server++)
        {
            var number = server;
            _servers.Add(await LoopbackServer.StartAsync(
                new ScriptedLanguageModel { Script = (request, cancellation) => Answer(number, request, cancellation) }));
        }

        var options = new RemoteStageOptions { LanguageModelSpill = Spill };
        var replicas = new StaticResolverFactory(_ => _servers.Select(server => new BalancerAddress("127.0.0.1", server.Port)));
        _channel = StageChannel.Open("static:///language-model", options, TimeProvider.System, replicas);
        _model = new RemoteLanguageModel(_channel, options.ConnectTimeout);
    }

    public async ValueTask DisposeAsync()
    {
        _gate.TrySetResult();
        _channel.Dispose();
        foreach (var server in _servers) await server.DisposeAsync();
    }

    [Fact(Timeout = Limit)]
    public async Task One_beginning_goes_to_one_server_and_many_to_both()
    {
        await ConnectBothAsync(TestContext.Current.CancellationToken);
        string[] beginnings = [.. Enumerable.Range(0, 24).Select(beginning => $"beginning {beginning}")];
        foreach (var end in new[] { "", " and an end" })
            foreach (var beginning in beginnings) await AskAsync(beginning, end);
        var servers = beginnings.Select(
            beginning => _asked.Where(call => call.Text == beginning).Select(call => call.Server).Distinct().ToList()).ToList();
        Assert.All(servers, server => Assert.Single(server));
        Assert.Equal([0, 1], servers.SelectMany(server => server).Distinct().Order());
    }

    [Fact(Timeout = Limit)]
    public async Task Streams_under_way_make_a_server_busy_and_it_is_preferred_again_when_they_end()
    {
        await ConnectBothAsync(TestContext.Current.CancellationToken);
        var streams = new List<IAsyncEnumerator<AnswerEvent>>();
        for (var call = 0; call < Spill + 1; call++)
        {
            // The stream has begun, its first token has arrived, and it waits at the gate. gRPC's own call tracker would count it
            // as complete.
            streams.Add(_model.GenerateAsync(Request("held", ""), TestContext.Current.CancellationToken)
                .GetAsyncEnumerator(TestContext.Current.CancellationToken));
            Assert.True(await streams[^1].MoveNextAsync());
        }

        var servers = _asked.Where(call => call.Text == "held").Select(call => call.Server).ToList();
        Assert.Single(servers.Take(Spill).Distinct());
        Assert.NotEqual(servers[0], servers[Spill]);
        _gate.SetResult();
        foreach (var stream in streams)
        {
            while (await stream.MoveNextAsync()) { }
            await stream.DisposeAsync();
        }

        Assert.Equal(0, Load);
        await AskAsync("held", "");
        Assert.Equal(servers[0], _asked.Last().Server);
    }

    [Fact(Timeout = Limit)]
    public async Task A_server_that_goes_leaves_its_beginnings_to_the_other()
    {
        await ConnectBothAsync(TestContext.Current.CancellationToken);
        await AskAsync("mine", "");
        var mine = _asked.Last(call => call.Text == "mine").Server;
        await _servers[mine].StopAsync();
        await AskAsync("mine", "");
        Assert.Equal(1 - mine, _asked.Last(call => call.Text == "mine").Server);
    }

    [Fact(Timeout = Limit)]
    public async Task A_stream_tried_again_before_it_began_counts_once_and_one_that_fails_not_at_all()
    {
        await ConnectBothAsync(TestContext.Current.CancellationToken);
        _refusals = 2;
        await using (var stream = _model.GenerateAsync(Request("held", ""), TestContext.Current.CancellationToken)
            .GetAsyncEnumerator(TestContext.Current.CancellationToken))
        {
            Assert.True(await stream.MoveNextAsync());
            // the load would be 0 if the last attempt had lost its headers
            Assert.Equal((3, 1), (_asked.Count(call => call.Text == "held"), Load));
        }

        Assert.Equal(0, Load);
        _refusals = int.MaxValue;
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => AskAsync("refused", ""))).Kind);
        foreach (var server in _servers) await server.StopAsync();
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => AskAsync("nobody there", ""))).Kind);
        Assert.Equal(0, Load);
    }

    [Fact(Timeout = Limit)]
    public async Task A_single_server_is_asked_by_its_address_too()
    {
        using var channel = StageChannel.Open($"http://127.0.0.1:{_servers[1].Port}", new RemoteStageOptions(), TimeProvider.System);
        var model = new RemoteLanguageModel(channel, TimeSpan.Zero);
        Assert.NotEmpty(await model.GenerateAsync(Request("x", ""), TestContext.Current.CancellationToken).ToListAsync());
        Assert.Equal([(1, "x")], _asked);
    }

    // Connections open one after the other, so calls are made until both servers have answered.
    private async Task ConnectBothAsync(CancellationToken cancellation)
    {
        for (var beginning = 0; _asked.Select(call => call.Server).Distinct().Count() < 2; beginning++)
        {
            cancellation.ThrowIfCancellationRequested();
            await AskAsync($"warm {beginning}", "");
        }
    }

    private async Task AskAsync(string beginning, string end) =>
        await _model.GenerateAsync(Request(beginning, end), TestContext.Current.CancellationToken).ToListAsync();

    private static LanguageModelRequest Request(string beginning, string end) =>
        new([new TextSegment(beginning), new PictureSegment(new string('a', 64), null), new TextSegment(end)],
            new SamplingParameters { MaxTokens = 3 });

    private async IAsyncEnumerable<AnswerEvent> Answer(int server, LanguageModelRequest request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        var text = ((TextSegment)request.Segments[0]).Text;
        _asked.Enqueue((server, text));
        if (Interlocked.Decrement(ref _refusals) >= 0) throw new FlamingoException(FlamingoErrorKind.Unavailable, "Not now.");
        yield return new AnswerTokens("a", [1]);
        if (text == "held") await _gate.Task.WaitAsync(cancellation);
        yield return AnswerFinished.OfLanguageModel(FinishReason.Length, 1, 1, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, "l1");
    }
}
