using Flamingo.Browser.Tests.Driving;
using Flamingo.Client;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>The page behind a reverse proxy that serves it below a path.</summary>
public sealed class PrefixTests(BrowserFixture fixture)
{
    [Fact(Timeout = 60_000)]
    public async Task Everything_works_below_a_path()
    {
        fixture.Require();
        await using var relay = await Relay.StartAsync(fixture.Server.HttpPort, "/some/prefix/", TestContext.Current.CancellationToken);
        await using var visit = await Visit.OpenAsync(fixture, relay.Address);
        await visit.TryAsync("Let the server pick");
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        await Expect(visit.Page.Locator("#drawn-shots img")).ToHaveCountAsync(4);
        await visit.TryAsync("Teach two new words");
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        await visit.UnfoldAsync("rank");
        await visit.Page.Locator("#rank-button").ClickAsync();
        await Expect(visit.Page.Locator("#ranking dt").First).ToHaveTextAsync("pilu");
        await visit.UnfoldAsync("code");
        await Expect(visit.Page.Locator("#snippet")).ToContainTextAsync(relay.Address + "flamingo/v1/generate");
        Assert.True(await visit.Page.Locator(".gallery img").First.EvaluateAsync<bool>(
            "image => image.complete && image.naturalWidth > 0"));
        Assert.All(visit.Requests.Where(request => !request.StartsWith("blob:", StringComparison.Ordinal)),
            request => Assert.StartsWith(relay.Address, request, StringComparison.Ordinal));

        await visit.Page.Locator("#tab-csharp").ClickAsync();
        await Expect(visit.Page.Locator("#snippet")).ToContainTextAsync($"new FlamingoClient(\"{relay.Address.TrimEnd('/')}\")");
        using (var client = new FlamingoClient(relay.Address.TrimEnd('/')))
            Assert.Equal("flamingo-shapes", (await client.GetModelAsync(TestContext.Current.CancellationToken)).Language.ModelId);
        Assert.Contains(relay.Requests, request => request.Path == "flamingo.v1.Flamingo/GetModel");

        await visit.Page.GetByRole(Microsoft.Playwright.AriaRole.Link, new() { Name = "API" }).ClickAsync();
        Assert.StartsWith(relay.Address, visit.Page.Url, StringComparison.Ordinal);
        Assert.Contains("openapi", visit.Page.Url, StringComparison.Ordinal);
    }
}
