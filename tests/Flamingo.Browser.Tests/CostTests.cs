using Flamingo.Browser.Tests.Driving;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>What the page itself costs: bytes until it is there, and no request that nobody asked for.</summary>
public sealed class CostTests(BrowserFixture fixture)
{
    private const int MostBytes = 100_000;

    [Fact(Timeout = 60_000)]
    public async Task The_first_load_takes_less_than_100_kB_and_the_second_one_little()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address, isReady: true);
        await using var session = new Bytes(await visit.Context.NewCDPSessionAsync(visit.Page));
        await session.StartAsync(isCacheOn: false);
        await visit.Page.ReloadAsync(new() { WaitUntil = WaitUntilState.NetworkIdle });
        await visit.ReadyAsync();
        Assert.InRange(session.Count, 10_000, MostBytes);
        TestContext.Current.SendDiagnosticMessage($"The first load takes {session.Count} bytes.");

        await session.StartAsync(isCacheOn: true);
        await visit.Page.ReloadAsync(new() { WaitUntil = WaitUntilState.NetworkIdle });
        await session.StartAsync(isCacheOn: true);
        await visit.Page.ReloadAsync(new() { WaitUntil = WaitUntilState.NetworkIdle });
        await visit.ReadyAsync();
        Assert.InRange(session.Count, 1, MostBytes / 4);
        await visit.EndAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task The_page_never_asks_by_itself()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        await visit.Page.Clock.InstallAsync();
        await visit.Page.ReloadAsync();
        await visit.ReadyAsync();
        await visit.TryAsync("Let the server pick");
        await Expect(visit.Page.Locator("#drawn-shots li")).ToHaveCountAsync(4);
        await visit.Page.WaitForLoadStateAsync(LoadState.NetworkIdle);
        var before = visit.Requests.Count;
        await visit.Page.Clock.RunForAsync(3_600_000); // every timer that would fire in an hour
        await visit.Page.WaitForLoadStateAsync(LoadState.NetworkIdle);
        Assert.Equal(before, visit.Requests.Count);
        Assert.False(await visit.Page.EvaluateAsync<bool>("async () => (await navigator.serviceWorker.getRegistrations()).length > 0"));
        await visit.EndAsync();
    }

    /// <summary>Bytes of all answers as they were on the wire, with their headers.</summary>
    private sealed class Bytes : IAsyncDisposable
    {
        private readonly ICDPSession _session;
        private long _count;

        public Bytes(ICDPSession session)
        {
            _session = session;
            session.Event("Network.loadingFinished").OnEvent += (_, data) =>
                Interlocked.Add(ref _count, (long)data!.Value.GetProperty("encodedDataLength").GetDouble());
        }

        public long Count => Interlocked.Read(ref _count);

        public async Task StartAsync(bool isCacheOn)
        {
            await _session.SendAsync("Network.enable");
            await _session.SendAsync("Network.setCacheDisabled", new() { ["cacheDisabled"] = !isCacheOn });
            Interlocked.Exchange(ref _count, 0);
        }

        public async ValueTask DisposeAsync() => await _session.DetachAsync();
    }
}
