using Flamingo.Browser.Tests.Driving;
using Flamingo.Fixtures.Attacks;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>A server with keys: the page asks for one, keeps it for the tab, and sends it to the server alone.</summary>
public sealed class KeyTests(BrowserFixture fixture, KeyTests.KeyedServer keyed) : IClassFixture<KeyTests.KeyedServer>
{
    [Fact(Timeout = 60_000)]
    public async Task The_page_asks_for_a_key_and_keeps_the_right_one_for_the_tab()
    {
        await using var visit = await Visit.OpenAsync(fixture, keyed.Address, isReady: false);
        var (page, dialog, field) = (visit.Page, visit.Page.GetByRole(AriaRole.Dialog), visit.Page.Locator("#key"));
        var sent = new List<string>();
        page.Request += (_, request) =>
        {
            lock (sent) sent.Add($"{request.Url} {(request.Headers.TryGetValue("authorization", out var shown) ? shown : "")}");
        };
        await Expect(dialog).ToBeVisibleAsync(); // a missing key
        await Expect(field).ToBeFocusedAsync();
        await Expect(page.Locator("#key-problem")).ToBeHiddenAsync();

        await field.FillAsync("flm_aaaaaaaa_wrong");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.Locator("#key-problem")).ToBeVisibleAsync(); // a refused key
        await Expect(dialog).ToBeVisibleAsync();
        await Expect(field).ToHaveValueAsync("");

        await field.FillAsync($" {keyed.Key}\n");
        await page.GetByRole(AriaRole.Button, new() { Name = "Use this key" }).ClickAsync();
        await Expect(dialog).ToBeHiddenAsync();
        await visit.ReadyAsync();
        await Expect(visit.Problem).ToBeHiddenAsync();
        await visit.TryAsync("Teach two new words");
        Assert.Equal("pilu", await visit.AnswerTextAsync());

        await page.ReloadAsync(); // the tab keeps it
        await visit.ReadyAsync();
        await Expect(dialog).ToBeHiddenAsync();
        Assert.DoesNotContain(keyed.Key, page.Url, StringComparison.Ordinal);
        Assert.DoesNotContain(visit.Requests, request => request.Contains(keyed.Key, StringComparison.Ordinal));
        Assert.Equal("[]", await page.EvaluateAsync<string>(
            "() => JSON.stringify([...Object.keys(localStorage), ...(document.cookie ? ['cookie'] : [])])"));
        lock (sent)
        {
            Assert.All(sent.Where(request => request.Contains(keyed.Key, StringComparison.Ordinal)),
                request => Assert.StartsWith(keyed.Address + "flamingo/v1/", request, StringComparison.Ordinal));
            Assert.Contains(sent, request => request.Contains($"Bearer {keyed.Key}", StringComparison.Ordinal));
        }

        await visit.UnfoldAsync("code");
        await visit.TryAsync("Describe a picture");
        await Expect(page.Locator("#snippet")).ToContainTextAsync("FLAMINGO_KEY"); // and not the key itself
        Assert.DoesNotContain(keyed.Key, await page.ContentAsync(), StringComparison.Ordinal);

        await page.Locator("#key-button").ClickAsync();
        await page.Locator("#forget").ClickAsync();
        await Expect(dialog).ToBeVisibleAsync(); // the server asks again
        await visit.EndAsync("401");
    }

    [Fact(Timeout = 60_000)]
    public async Task Another_visitor_does_not_have_the_key()
    {
        await using (var visit = await Visit.OpenAsync(fixture, keyed.Address, isReady: false))
        {
            await visit.Page.Locator("#key").FillAsync(keyed.Key);
            await visit.Page.Keyboard.PressAsync("Enter");
            await visit.ReadyAsync();
            var second = await visit.Context.NewPageAsync(); // another tab of the same browser
            await second.GotoAsync(keyed.Address);
            await Expect(second.GetByRole(AriaRole.Dialog)).ToBeVisibleAsync();
        }

        await using var other = await Visit.OpenAsync(fixture, keyed.Address, isReady: false);
        await Expect(other.Page.GetByRole(AriaRole.Dialog)).ToBeVisibleAsync();
        await other.Page.Keyboard.PressAsync("Escape");
        await Expect(other.Page.GetByRole(AriaRole.Dialog)).ToBeHiddenAsync();
        await Expect(other.Problem).ToBeVisibleAsync();
        await other.EndAsync("401");
    }

    /// <summary>A server that asks for keys, and a key that it accepts.</summary>
    public sealed class KeyedServer(BrowserFixture fixture) : IAsyncLifetime
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("flamingo-browser-");
        private AttackServer? _server;

        public string Key { get; private set; } = "";

        public string Address => $"http://localhost:{(_server ?? fixture.Server).HttpPort}/";

        public async ValueTask InitializeAsync()
        {
            if (!fixture.IsThere) return;
            var file = Path.Combine(_folder.FullName, "keys.json");
            Key = await Programs.FlamingoAsync(CancellationToken.None, "key", "new", "--tenant", "berlin", "--file", file);
            _server = await BrowserFixture.ServeAsync(CancellationToken.None, ("Security:KeysFile", file));
        }

        public async ValueTask DisposeAsync()
        {
            if (_server is not null) await _server.DisposeAsync();
            _folder.Delete(recursive: true);
        }
    }
}
