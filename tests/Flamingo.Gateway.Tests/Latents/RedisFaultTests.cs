using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Tenants;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Flamingo.Testing;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>
/// Tests two gateways without a memory tier under load, with Redis behind a proxy that goes through every fault. No client sees
/// an error or wrong latents, no lookup takes longer than its budget, and hits return without intervention.
/// </summary>
public sealed class RedisFaultTests : IAsyncLifetime
{
    private const int Clients = 8;
    private const int Pictures = 6;

    private readonly Stage _stage = new();
    private readonly RespServer _server = new();
    private readonly CancellationTokenSource _over = new();
    private FaultyProxy _proxy = null!;
    private ServiceProvider[] _gateways = [];
    private int _answers, _hits;

    public ValueTask InitializeAsync()
    {
        _proxy = FaultyProxy.Start(_server.Port);
        _gateways =
        [
            .. Enumerable.Range(0, 2).Select(_ => _stage.Services(
                ("Redis:ConnectionString", $"127.0.0.1:{_proxy.Port}"), ("Redis:BreakDuration", "00:00:00.500"),
                ("Redis:LeaseDuration", "00:00:00.500"), ("Gateway:MemoryCacheBytes", "0"))),
        ];
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _over.CancelAsync();
        foreach (var gateway in _gateways) await gateway.DisposeAsync();
        await _proxy.DisposeAsync();
        _server.Dispose();
        _over.Dispose();
    }

    [Theory(Timeout = 120_000)]
    [InlineData(ProxyFault.Killed)]
    [InlineData(ProxyFault.Paused)]
    [InlineData(ProxyFault.Slowed)]
    [InlineData(ProxyFault.Garbage)]
    public async Task A_fault_under_load_costs_no_answer_and_heals_without_a_restart(ProxyFault fault)
    {
        var clients = Enumerable.Range(0, Clients).Select(AskOnAndOnAsync).ToList();
        await HitsComeBackAsync(clients);
        for (var round = 0; round < 2; round++)
        {
            _proxy.Become(fault, TimeSpan.FromSeconds(2));
            await FailuresAsync(clients);
            await AnswersAsync(clients, 40);
            _proxy.Become(ProxyFault.None);
            await HitsComeBackAsync(clients);
        }

        await EndAsync(clients);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 120_000)]
    public async Task A_server_restarted_empty_under_load_is_filled_again()
    {
        var clients = Enumerable.Range(0, Clients).Select(AskOnAndOnAsync).ToList();
        await HitsComeBackAsync(clients);
        var encoded = _stage.Encodes.Count;
        _server.Stop();
        await AnswersAsync(clients, 40);
        _server.StartAgain();
        await HitsComeBackAsync(clients);
        Assert.True(_stage.Encodes.Count > encoded);
        await EndAsync(clients);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    // A client sends one request after another for a picture's latents and pooled embedding. Their values show which picture they
    // belong to.
    private async Task AskOnAndOnAsync(int client)
    {
        await Task.Yield();
        var gateway = _gateways[client % 2];
        var (model, tenant) = (await gateway.GetRequiredService<IFlamingo>().GetModelAsync(_over.Token), Tenant.Of("", ""));
        Assert.NotNull(model);
        for (var number = client; !_over.IsCancellationRequested; number++)
        {
            var file = (byte)(1 + (number % Pictures));
            var asked = new RequestedPicture(PictureId.Of([file]), VisualInput.Still(new[] { file }), "picture") { NeedsPooled = true };
            var picture = Assert.Single(
                await gateway.GetRequiredService<LatentCache>().GetOrEncodeAsync([asked], tenant, CancellationToken.None));
            Assert.All(picture.Latents.Tensor.ToFloats(), value => Assert.Equal(file, value));
            Assert.True(picture.Latents.IsIntact());
            Assert.Equal([file, 0, 0], picture.Pooled!.ToFloats());
            // The budget is 100 ms. The limit is higher, because this machine may be busy, and below the 5 s after which the
            // client library itself times out.
            Assert.InRange(picture.Lookup, TimeSpan.Zero, TimeSpan.FromSeconds(4));
            Interlocked.Increment(ref _answers);
            if (picture.Source == PictureSource.Redis) Interlocked.Increment(ref _hits);
        }
    }

    // A client may use either gateway, so both gateways must have hits.
    private async Task HitsComeBackAsync(List<Task> clients)
    {
        var before = _gateways.Select(Hits).ToList();
        await UntilAsync(clients, () => _gateways.Zip(before).All(pair => Hits(pair.First) >= pair.Second + 20));

        static long Hits(ServiceProvider gateway) => Redis(gateway).Hits;
    }

    private Task FailuresAsync(List<Task> clients)
    {
        var before = _gateways.Select(gateway => Redis(gateway).Failures + Redis(gateway).Corrupt).ToList();
        return UntilAsync(clients, () =>
            _gateways.Zip(before).All(pair => Redis(pair.First).Failures + Redis(pair.First).Corrupt > pair.Second));
    }

    private Task AnswersAsync(List<Task> clients, int more)
    {
        var enough = Volatile.Read(ref _answers) + more;
        return UntilAsync(clients, () => Volatile.Read(ref _answers) >= enough);
    }

    private static async Task UntilAsync(List<Task> clients, Func<bool> reached)
    {
        while (!reached())
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            if (clients.Find(client => client.IsCompleted) is { } ended) await ended; // rethrows the client's error
            await Task.Delay(1);
        }
    }

    private async Task EndAsync(List<Task> clients)
    {
        await _over.CancelAsync();
        await Task.WhenAll(clients).WaitAsync(TestContext.Current.CancellationToken);
        Assert.True(_hits > 0);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{_answers} answers, {_hits} from Redis, {_stage.Encodes.Count} encodings, 0 errors");
    }

    private static RedisTierStatistics Redis(ServiceProvider gateway) => gateway.GetRequiredService<LatentCacheOperations>().Read().Redis!;
}
