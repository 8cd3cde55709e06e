using Flamingo.Abstractions;
using Flamingo.Gateway.Admission;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>Tests that gateways share encodings, with one set of stages and one server that implements the Redis protocol.</summary>
public sealed class SharedEncodingTests : IAsyncLifetime
{
    // For tests in which a lease expires or is renewed. A busy machine may lose a short lease, so the other tests use longer leases.
    private static readonly (string Key, string Value) ShortLease = ("Redis:LeaseDuration", "00:00:01");

    private readonly Stage _stage = new();
    private readonly RespServer _server = new();
    private readonly List<ServiceProvider> _gateways = [];
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        _gate.TrySetResult();
        foreach (var gateway in _gateways) await gateway.DisposeAsync();
        _server.Dispose();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_hundred_clients_with_one_picture_at_three_gateways_cost_one_encoding()
    {
        var gateways = new[] { Gateway(), Gateway(), Gateway() };
        _stage.Gate = _gate.Task;
        var asked = Enumerable.Range(0, 100).Select(client => Flamingo(gateways[client % 3]).SourcesAsync(Picture(1))).ToList();
        await UntilAsync(async () =>
            await SumAsync(gateways, cache => cache.Waits) == 97 && await SumAsync(gateways, cache => cache.SharedWaits) == 2);
        _gate.SetResult();
        Assert.All(await Task.WhenAll(asked).WaitAsync(TestContext.Current.CancellationToken),
            sources => Assert.Equal([PictureSource.Encoded], sources));
        Assert.Equal([1], _stage.Encodes);
        Assert.Equal((1, 97, 2), (await SumAsync(gateways, cache => cache.Encoded), await SumAsync(gateways, cache => cache.Waits),
            await SumAsync(gateways, cache => cache.SharedWaits)));
        foreach (var gateway in gateways) Assert.Equal([PictureSource.Memory], await Flamingo(gateway).SourcesAsync(Picture(1)));
    }

    [Fact(Timeout = 60_000)]
    public async Task An_owner_that_dies_is_followed_by_one_other()
    {
        var (owner, others) = (Gateway(ShortLease), new[] { Gateway(), Gateway() });
        _stage.Gate = _gate.Task;
        var left = Flamingo(owner).SourcesAsync(Picture(1));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var asked = Enumerable.Range(0, 20).Select(client => Flamingo(others[client % 2]).SourcesAsync(Picture(1))).ToList();
        await UntilAsync(async () => await SumAsync(others, cache => cache.SharedWaits) == 2);
        _stage.Gate = Task.CompletedTask; // the owner's call still waits at its gate
        await owner.DisposeAsync();
        Assert.All(await Task.WhenAll(asked).WaitAsync(TestContext.Current.CancellationToken),
            sources => Assert.Equal([PictureSource.Encoded], sources));
        Assert.Equal([1, 1], _stage.Encodes);
        Assert.False(left.IsCompleted);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_owner_whose_caller_leaves_drops_its_work_and_is_followed_by_one_other()
    {
        var (first, second) = (Gateway(), Gateway());
        _stage.Gate = _gate.Task;
        using var caller = new CancellationTokenSource();
        var left = Flamingo(first).EncodeAsync(new FlamingoEncodeRequest([Picture(1), Picture(2)]), caller.Token);
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var waiting = Enumerable.Range(0, 20).Select(_ => Flamingo(second).SourcesAsync(Picture(1))).ToList();
        await UntilAsync(async () => await SumAsync([second], cache => cache.SharedWaits) == 1);
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        Assert.Equal((1, 0), (_stage.Cancelled, first.GetRequiredService<RequestPermits>().State.Running));
        await UntilAsync(() => Task.FromResult(_stage.Encodes.Count == 2)); // the second gateway took the released lease
        await using var connection = await _server.ConnectAsync();
        Assert.Equal([LeaseOf(1)], Keys(connection, "*")); // nobody waits for the other picture
        _gate.SetResult();
        Assert.All(await Task.WhenAll(waiting).WaitAsync(TestContext.Current.CancellationToken),
            sources => Assert.Equal([PictureSource.Encoded], sources));
        Assert.Equal([2, 1], _stage.Encodes);
        Assert.Equal([1, 2, 1], _stage.Inputs.Select(input => input.Files[0].Span[0]));
        await UntilAsync(() => Task.FromResult(Keys(connection, "lease:*").Count == 0));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_bad_picture_is_nobodys_but_its_own_callers_fault_and_is_not_remembered()
    {
        var gateways = new[] { Gateway(), Gateway(), Gateway() };
        _stage.Gate = _gate.Task;
        var bad = Flamingo(gateways[0]).SourcesAsync(Picture(1), Picture(Stage.Broken));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var good = Flamingo(gateways[1]).SourcesAsync(Picture(1));
        var alsoBad = Flamingo(gateways[2]).SourcesAsync(new FlamingoText("a"), new FlamingoText("b"), Picture(Stage.Broken));
        await UntilAsync(async () => await SumAsync(gateways, cache => cache.SharedWaits) == 2);
        _gate.SetResult();
        Assert.Equal("segments[1].picture", Assert.Single((await Assert.ThrowsAsync<FlamingoException>(() => bad)).Faults).Field);
        Assert.Equal("segments[2].picture", Assert.Single((await Assert.ThrowsAsync<FlamingoException>(() => alsoBad)).Faults).Field);
        Assert.Equal([PictureSource.Encoded], await good);
        Assert.Equal([1, 1, 2], _stage.Encodes.Order()); // each gateway encoded the damaged picture of its own request

        await Assert.ThrowsAsync<FlamingoException>(() => Flamingo(gateways[1]).SourcesAsync(Picture(Stage.Broken)));
        Assert.Equal(4, _stage.Encodes.Count);
        await using var connection = await _server.ConnectAsync();
        // Redis holds the latents of the valid picture, no lease, and nothing of the damaged picture.
        await UntilAsync(() => Task.FromResult(Keys(connection, "*").Count == 1));
        Assert.Equal($"flamingo:latents:{KeyOf(1)}", Assert.Single(Keys(connection, "*")));
    }

    [Fact(Timeout = 60_000)]
    public async Task Pictures_whose_leases_are_free_go_out_in_one_call_and_the_rest_is_waited_for()
    {
        var (first, second) = (Gateway(), Gateway());
        _stage.Gate = _gate.Task;
        var one = Flamingo(first).SourcesAsync(Picture(1));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var answer = Flamingo(second).EncodeAsync(new FlamingoEncodeRequest([Picture(1), Picture(2), Picture(3), Picture(4)]),
            TestContext.Current.CancellationToken);
        await UntilAsync(() => Task.FromResult(_stage.Encodes.Count == 2));
        _gate.SetResult();
        await one;
        Assert.Equal([1, 3], _stage.Encodes);
        Assert.Equal((4, 1), ((await answer).Cache.Encoded, (await answer).Cache.Waits));
    }

    [Fact(Timeout = 60_000)]
    public async Task An_owner_that_hangs_is_waited_for_no_longer_than_stated()
    {
        await using var connection = await _server.ConnectAsync();
        await connection.GetDatabase().StringSetAsync(LeaseOf(1), "an owner that renews for ever");
        var gateway = Gateway(("Redis:LeaseWait", "00:00:00.300"));
        Assert.Equal([PictureSource.Encoded],
            await Flamingo(gateway).SourcesAsync(Picture(1)).WaitAsync(TestContext.Current.CancellationToken));
        Assert.Equal([1], _stage.Encodes);
        Assert.Equal(1, await SumAsync([gateway], cache => cache.SharedWaits));
        Assert.Equal("an owner that renews for ever", await connection.GetDatabase().StringGetAsync(LeaseOf(1)));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_lease_that_was_lost_is_neither_given_back_nor_published_under()
    {
        await using var connection = await _server.ConnectAsync();
        var gateway = Gateway();
        _stage.Gate = _gate.Task;
        var asked = Flamingo(gateway).SourcesAsync(Picture(1));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        await connection.GetDatabase().StringSetAsync(LeaseOf(1), "another");
        _gate.SetResult();
        Assert.Equal([PictureSource.Encoded], await asked);
        await gateway.DisposeAsync(); // waits for pending writes
        Assert.Equal("another", await connection.GetDatabase().StringGetAsync(LeaseOf(1)));
        Assert.Equal([LeaseOf(1)], Keys(connection, "*"));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_lease_is_prolonged_while_it_is_needed_and_given_back()
    {
        await using var connection = await _server.ConnectAsync();
        var gateway = Gateway(ShortLease);
        _stage.Gate = _gate.Task;
        var asked = Flamingo(gateway).SourcesAsync(Picture(1));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var token = await connection.GetDatabase().StringGetAsync(LeaseOf(1));
        var lives = 0; // how often the lease's expiry was seen to grow, that is, it was renewed
        for (var (last, now) = (TimeSpan.Zero, TimeSpan.Zero); lives < 5; last = now)
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            now = await connection.GetDatabase().KeyTimeToLiveAsync(LeaseOf(1))
                ?? throw new InvalidOperationException("The lease has expired.");
            if (now > last + TimeSpan.FromMilliseconds(30)) lives++;
        }

        Assert.Equal(token, await connection.GetDatabase().StringGetAsync(LeaseOf(1)));
        _gate.SetResult();
        await asked;
        await UntilAsync(async () => !await connection.GetDatabase().KeyExistsAsync(LeaseOf(1)));
    }

    [Fact(Timeout = 60_000)]
    public async Task Without_redis_there_is_one_encoding_per_gateway()
    {
        _server.Stop();
        var gateways = new[] { Gateway(), Gateway() };
        _stage.Gate = _gate.Task;
        var asked = Enumerable.Range(0, 20).Select(client => Flamingo(gateways[client % 2]).SourcesAsync(Picture(1))).ToList();
        await UntilAsync(async () => await SumAsync(gateways, cache => cache.Waits) == 18 && _stage.Encodes.Count == 2);
        _gate.SetResult();
        Assert.All(await Task.WhenAll(asked).WaitAsync(TestContext.Current.CancellationToken),
            sources => Assert.Equal([PictureSource.Encoded], sources));
        Assert.Equal([1, 1], _stage.Encodes);
    }

    private ServiceProvider Gateway(params (string Key, string Value)[] settings)
    {
        (string Key, string Value)[] lease = settings.Contains(ShortLease) ? [] : [("Redis:LeaseDuration", "00:00:15")];
        var gateway = _stage.Services(
        [
            ("Redis:ConnectionString", _server.Address),
            ("Redis:LookupBudget", "00:00:05"), ("Redis:LeaseBudget", "00:00:05"), ("Redis:WriteBudget", "00:00:05"),
            ("Gateway:MaxConcurrentRequests", "200"),
            .. lease, .. settings,
        ]);
        _gateways.Add(gateway);
        return gateway;
    }

    private static IFlamingo Flamingo(ServiceProvider gateway) => gateway.GetRequiredService<IFlamingo>();

    private static async Task<long> SumAsync(IEnumerable<ServiceProvider> gateways, Func<CacheStatistics, long> count)
    {
        await Task.Yield();
        return gateways.Sum(gateway => count(gateway.GetRequiredService<LatentCacheOperations>().Read()));
    }

    private static async Task UntilAsync(Func<Task<bool>> reached)
    {
        while (!await reached())
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            await Task.Delay(1);
        }
    }

    private static List<string> Keys(ConnectionMultiplexer connection, string pattern) =>
        [.. connection.GetServers()[0].Keys(pattern: pattern).Select(key => (string)key!)];

    private string LeaseOf(byte picture) => $"lease:flamingo:latents:{KeyOf(picture)}";

    private string KeyOf(byte picture) => LatentKey.Compute(
        PictureId.Of([picture]), _stage.Vision.WeightsDigest, _stage.Resampler.WeightsDigest, _stage.Vision.PreprocessingVersion,
        _stage.Resampler.LatentDtype, "");
}
