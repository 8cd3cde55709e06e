using System.Net;
using System.Net.Sockets;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Remote;
using Flamingo.Transport.Tests.Serving;
using Google.Protobuf;
using Grpc.Net.Client.Balancer;
using Microsoft.Extensions.Time.Testing;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Tests.Remote;

/// <summary>
/// Tests that a healthy replica answers the calls when another replica fails during each of its calls and returns at once.
/// </summary>
public sealed class FailoverTests
{
    private const int Limit = 60_000;

    private static readonly LanguageModelRequest Request = new([new TextSegment("x")], new SamplingParameters { MaxTokens = 3 });

    // What a replica sends before it dies: only headers, or the beginning of a message.
    private const string Headers = "", Part = "00000100000102";

    [Theory(Timeout = Limit), InlineData(null), InlineData(Headers), InlineData(Part)]
    public async Task A_call_whose_replica_dies_before_the_whole_answer_is_here_is_answered_by_another(string? beginning)
    {
        await using var dying = await DyingServer.StartAsync(beginning is null ? null : Convert.FromHexString(beginning));
        await using var well = await LoopbackServer.StartAsync(Well());
        using var channel = Open(dying, well);
        var resampler = new RemoteResampler(channel, TimeSpan.Zero);
        await UntilAskedAsync(() => dying.Asked, () => resampler.DescribeAsync(TestContext.Current.CancellationToken));
        var asked = dying.Asked;
        for (var call = 0; call < 20; call++) await resampler.DescribeAsync(TestContext.Current.CancellationToken);
        Assert.Equal(asked, dying.Asked); // it is connected again but still skipped, because this clock does not advance
    }

    [Theory(Timeout = Limit), InlineData(null), InlineData(Headers), InlineData(Part)]
    public async Task A_stream_whose_replica_dies_before_its_first_event_is_answered_by_another(string? beginning)
    {
        await using var dying = await DyingServer.StartAsync(beginning is null ? null : Convert.FromHexString(beginning));
        await using var well = await LoopbackServer.StartAsync(Well());
        using var channel = Open(dying, well);
        var model = new RemoteLanguageModel(channel, TimeSpan.Zero);
        var call = 0;
        await UntilAskedAsync(() => dying.Asked,
            async () =>
                Assert.Equal(2, (await model.GenerateAsync(Request with { Tenant = $"{call++}" }, TestContext.Current.CancellationToken)
                    .ToListAsync()).Count));
        var asked = dying.Asked;
        for (var more = 0; more < 20; more++)
            await model.GenerateAsync(Request with { Tenant = $"{call++}" }, TestContext.Current.CancellationToken).ToListAsync();
        Assert.Equal(asked, dying.Asked);
    }

    [Fact(Timeout = Limit)]
    public async Task A_stream_that_had_begun_is_not_made_again_and_its_replica_rests()
    {
        byte[] message = new V1.GenerateTokensResponse { Tokens = new() { Text = "a", Ids = { 1 } } }.ToByteArray();
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var dying = await DyingServer.StartAsync([0, 0, 0, 0, (byte)message.Length, .. message], begun.Task);
        await using var well = await LoopbackServer.StartAsync(Well());
        using var channel = Open(dying, well);
        var model = new RemoteLanguageModel(channel, TimeSpan.Zero);
        var (call, answered, failures) = (0, 0, 0);
        while (answered == 0 || failures == 0)
        {
            var events = new List<AnswerEvent>();
            try
            {
                await foreach (var item in model.GenerateAsync(Request with { Tenant = $"{call++}" },
                    TestContext.Current.CancellationToken))
                {
                    events.Add(item);
                    if (dying.Asked > 0) begun.TrySetResult();
                }

                answered++;
            }
            catch (FlamingoException failure)
            {
                Assert.Equal((FlamingoErrorKind.Unavailable, 1), (failure.Kind, events.Count));
                failures++;
            }
        }

        Assert.Equal(failures, dying.Asked);
        for (var more = 0; more < 20; more++)
            await model.GenerateAsync(Request with { Tenant = $"{call++}" }, TestContext.Current.CancellationToken).ToListAsync();
        Assert.Equal(failures, dying.Asked);
    }

    // The client reconnects just before the listening socket closes, as the kernel of a killed process allows. gRPC's balancer
    // then finds the unused connection dead during the first call, gets no other connection, and continues to report the replica
    // as ready.
    [Fact(Timeout = Limit)]
    public async Task A_replica_that_died_between_its_connection_and_its_first_call_costs_no_call()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        await using var well = await LoopbackServer.StartAsync(Well());
        using var channel = StageChannel.Open("static:///stage", new RemoteStageOptions(), new StoppedClock(), Replicas(port, well.Port));
        var connecting = channel.Channel.ConnectAsync(TestContext.Current.CancellationToken);
        using (await listener.AcceptSocketAsync(TestContext.Current.CancellationToken)) await connecting;
        listener.Stop();
        var model = new RemoteLanguageModel(channel, TimeSpan.Zero);
        for (var call = 0; call < 20; call++)
            Assert.Equal(2, (await model.GenerateAsync(Request with { Tenant = $"{call}" }, TestContext.Current.CancellationToken)
                .ToListAsync()).Count);
    }

    // Containers that restart together may exchange their addresses before name resolution reports it.
    [Fact(Timeout = Limit)]
    public async Task A_replica_whose_address_another_kind_of_service_has_taken_costs_no_call()
    {
        await using var foreign = await LoopbackServer.StartAsync(language: null);
        await using var well = await LoopbackServer.StartAsync(Well());
        using var channel = StageChannel.Open("static:///stage", new RemoteStageOptions(), new StoppedClock(),
            Replicas(foreign.Port, well.Port));
        var model = new RemoteLanguageModel(channel, TimeSpan.Zero);
        var call = 0;
        await UntilAskedAsync(() => foreign.Asked,
            async () =>
                Assert.Equal(2, (await model.GenerateAsync(Request with { Tenant = $"{call++}" }, TestContext.Current.CancellationToken)
                    .ToListAsync()).Count));
        var asked = foreign.Asked;
        for (var more = 0; more < 20; more++)
            await model.GenerateAsync(Request with { Tenant = $"{call++}" }, TestContext.Current.CancellationToken).ToListAsync();
        Assert.Equal(asked, foreign.Asked); // it is skipped
    }

    [Fact(Timeout = Limit)]
    public async Task A_lone_stranger_is_said_to_be_one()
    {
        await using var foreign = await LoopbackServer.StartAsync(language: null);
        using var channel = StageChannel.Open("static:///stage", new RemoteStageOptions(), TimeProvider.System, Replicas(foreign.Port));
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => new RemoteLanguageModel(channel, TimeSpan.Zero).DescribeAsync(TestContext.Current.CancellationToken));
        Assert.Equal(FlamingoErrorKind.Unavailable, refusal.Kind);
        Assert.Contains("does not serve this call", refusal.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = Limit)]
    public async Task Where_all_die_it_is_unavailable_after_some_attempts()
    {
        await using var first = await DyingServer.StartAsync(null);
        await using var second = await DyingServer.StartAsync([]);
        using var channel = StageChannel.Open("static:///stage", new RemoteStageOptions(), TimeProvider.System,
            Replicas(first.Port, second.Port));
        var resampler = new RemoteResampler(channel, TimeSpan.FromSeconds(2));
        Assert.Equal(FlamingoErrorKind.Unavailable,
            (await Assert.ThrowsAsync<FlamingoException>(() => resampler.DescribeAsync(TestContext.Current.CancellationToken))).Kind);
        Assert.InRange(first.Asked + second.Asked, 1, 4);
    }

    /// <summary>
    /// gRPC's balancer sometimes leaves a call unsent. Here it does so because the resolver never finds replicas, a wait in which
    /// the balancer ignores cancellation.
    /// </summary>
    [Theory(Timeout = Limit), InlineData(0), InlineData(2)]
    public async Task A_call_that_is_never_sent_is_taken_back_and_ends_unavailable(int patienceSeconds)
    {
        var time = new FakeTimeProvider();
        using var channel = StageChannel.Open("static:///stage", new RemoteStageOptions(), time, new SilentResolverFactory());
        var call = new RemoteResampler(channel, TimeSpan.FromSeconds(patienceSeconds)).DescribeAsync(TestContext.Current.CancellationToken);
        while (!call.IsCompleted)
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => call)).Kind);
    }

    private sealed class SilentResolverFactory : ResolverFactory
    {
        public override string Name => "static";

        public override Resolver Create(ResolverOptions options) => new Silent();

        private sealed class Silent : Resolver
        {
            public override void Start(Action<ResolverResult> listener)
            {
            }
        }
    }

    /// <summary>Only a call that was never sent is cancelled and retried. A call whose answer takes long is waited for.</summary>
    [Fact(Timeout = Limit)]
    public async Task A_call_that_was_sent_is_waited_for_however_long_its_answer_takes()
    {
        var (asked, answer, time) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously),
            new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), new FakeTimeProvider());
        var calls = 0;
        await using var server = await LoopbackServer.StartAsync(new ScriptedLanguageModel { Script = (_, _) => AnswerAsync() });
        using var channel = StageChannel.Open("static:///stage", new RemoteStageOptions(), time, Replicas(server.Port));
        var model = new RemoteLanguageModel(channel, TimeSpan.Zero);
        var events = model.GenerateAsync(Request, TestContext.Current.CancellationToken).ToListAsync().AsTask();
        await asked.Task.WaitAsync(TestContext.Current.CancellationToken);
        time.Advance(TimeSpan.FromHours(1));
        answer.SetResult();
        Assert.Equal(2, (await events).Count);
        Assert.Equal(1, calls);

        async IAsyncEnumerable<AnswerEvent> AnswerAsync()
        {
            calls++;
            asked.TrySetResult();
            await answer.Task;
            await foreach (var item in Well().Script(Request, TestContext.Current.CancellationToken)) yield return item;
        }
    }

    private static ScriptedLanguageModel Well() => new()
    {
        Script = (_, _) =>
            new AnswerEvent[] { new AnswerTokens("a", [1]),
                AnswerFinished.OfLanguageModel(FinishReason.Length, 1, 1, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero,
                    "l1") }.ToAsyncEnumerable(),
    };

    private static StageChannel Open(DyingServer dying, LoopbackServer well) =>
        StageChannel.Open("static:///stage", new RemoteStageOptions(), new StoppedClock(), Replicas(dying.Port, well.Port));

    private static StaticResolverFactory Replicas(params int[] ports) =>
        new(_ => ports.Select(port => new BalancerAddress("127.0.0.1", port)));

    // Connections open one after the other, so calls are made until the failing replica has been tried and the healthy one is connected.
    private static async Task UntilAskedAsync(Func<int> asked, Func<Task> ask)
    {
        for (var answered = false; !answered || asked() == 0;)
        {
            try
            {
                await ask();
                answered = true;
            }
            catch (FlamingoException) when (!answered)
            {
                TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            }
        }
    }

    /// <summary>A clock that stands still, so that a failed replica is skipped for ever. Timers run as usual.</summary>
    private sealed class StoppedClock : TimeProvider
    {
        public override long GetTimestamp() => 0;
    }
}
