using Flamingo.Browser.Tests.Driving;
using Flamingo.Testing;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>Pictures of the page in the folder <c>artifacts/screenshots</c>, for people who look at them.</summary>
public sealed class ScreenshotTests(BrowserFixture fixture)
{
    [Theory(Timeout = 120_000), InlineData("light"), InlineData("dark"), InlineData("phone")]
    public async Task The_page_has_its_picture_taken(string look)
    {
        var options = look == "phone" ? ReachTests.Phone : new() { ViewportSize = new() { Width = 1280, Height = 960 } };
        options.ColorScheme = look == "dark" ? ColorScheme.Dark : ColorScheme.Light;
        options.ReducedMotion = ReducedMotion.Reduce;
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address, options);
        await TakeAsync(visit, $"{look}-empty", isFull: false);
        await visit.TryAsync("Teach two new words");
        await visit.AskAsync(); // with pictures that are known
        await visit.Words.First.ClickAsync();
        await Expect(visit.Question.Locator("canvas")).ToBeVisibleAsync();
        await TakeAsync(visit, look, isFull: false);
        foreach (var details in new[] { "rank", "ladder", "code" }) await visit.UnfoldAsync(details);
        await visit.Page.Locator("#rank-button").ClickAsync();
        await Expect(visit.Page.Locator("#ranking dt")).ToHaveCountAsync(2);
        await visit.IdleAsync();
        await visit.Page.Locator("#ladder-button").ClickAsync();
        await Expect(visit.Page.Locator("#steps dt")).ToHaveCountAsync(9);
        await visit.IdleAsync();
        await TakeAsync(visit, $"{look}-whole", isFull: true);
        await visit.TryAsync("Let the server pick");
        await Expect(visit.Page.Locator("#drawn-shots img")).ToHaveCountAsync(4);
        await visit.Words.First.ClickAsync();
        await TakeAsync(visit, $"{look}-picked", isFull: true);
        await visit.Page.Locator("#key-button").ClickAsync();
        await TakeAsync(visit, $"{look}-key", isFull: false);
        await visit.EndAsync();
    }

    private static async Task TakeAsync(Visit visit, string name, bool isFull)
    {
        await visit.Page.EvaluateAsync("() => { document.activeElement.blur(); scrollTo(0, 0); }");
        var file = RepositoryFiles.Path("artifacts", "screenshots", name + ".png");
        await visit.Page.ScreenshotAsync(new() { Path = file, FullPage = isFull, Animations = ScreenshotAnimations.Disabled });
        Assert.InRange(new FileInfo(file).Length, 20_000, 5_000_000);
    }
}
